"""The mean of the weights at several validations, as SWA (arXiv 1803.05407) and model soups (arXiv 2203.05482) take it.

Their files lie in the run's folder, named by their steps. Which ones count follows from the counters of a checkpoint
alone, so a resumed run has the same mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from safetensors.torch import load_file

from sonneteer.training.checkpoint import Tensors, save_tensors

Candidate = tuple[int, float]
"""A step and its validation loss."""


class Averaging(NamedTuple):
    """Which weights are kept to be averaged, and where."""

    folder: Path
    most: int
    which: Literal["best", "last"]

    def chosen(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Those that count, by step. Among equal losses the later one does."""
        if self.which == "last":
            return sorted(candidates)[-self.most :]
        return sorted(sorted(candidates, key=lambda one: (one[1], -one[0]))[: self.most])

    def keep(self, candidates: Sequence[Candidate], weights: Tensors) -> list[Candidate]:
        """The candidates that still count, the last of them new with these weights. Forgets the others' files."""
        left = self.chosen(candidates)
        newest = max(step for step, _ in candidates)
        if newest in dict(left):
            self.folder.mkdir(parents=True, exist_ok=True)
            save_tensors(self._file(newest), weights)
        for step in dict(candidates).keys() - dict(left).keys():
            self._file(step).unlink(missing_ok=True)
        return left

    def mean(self, candidates: Sequence[Candidate]) -> Tensors:
        """The mean of their weights, summed in float64."""
        totals: Tensors = {}
        for step, _ in candidates:
            for name, tensor in load_file(self._file(step)).items():
                totals[name] = totals.get(name, torch.zeros_like(tensor, dtype=torch.float64)) + tensor
        return {name: (total / len(candidates)).float() for name, total in totals.items()}

    def _file(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.safetensors"
