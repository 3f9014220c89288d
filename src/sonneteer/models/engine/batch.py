"""One step of the engine: the rows that go through the network together, and whose logits are whose.

Shape letters: N rows of the step, M rows whose logits are wanted, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sonneteer.chat import Chance
from sonneteer.models.engine.answering import Answering, Loaded, chance_of
from sonneteer.models.engine.decoder import Step
from sonneteer.models.engine.stack import Reading

Piece = tuple[Answering, Reading]


class Batch:
    """The next tokens of the running answers, and the pieces of prompts that are read beside them."""

    def __init__(self, running: Sequence[Answering], pieces: Sequence[Piece], device: torch.device) -> None:
        self._running = running
        self._pieces = pieces
        inside = [*running, *(each for each, _ in pieces)]
        found = {each.adapter for each in inside if each.adapter is not None}
        self.adapters: tuple[Loaded, ...] = tuple(sorted(found, key=lambda loaded: loaded.reader))
        self.wanted: list[tuple[int, Answering]] = list(enumerate(running))
        """Who gets a next token, and its place among the wanted logits."""
        ids = [each.writing.ids[-1] for each in running]
        positions = [each.length - 1 for each in running]
        rows = list(range(len(running)))
        for answering, reading in pieces:
            end = reading.start + reading.length
            ids += answering.ids[reading.start : end]
            positions += range(reading.start, end)
            is_last = end == len(answering.ids)
            if answering.options.scores_prompt:
                rows += range(len(ids) - reading.length, len(ids))
            elif is_last:
                rows.append(len(ids) - 1)
            if is_last:
                self.wanted.append((len(rows) - 1, answering))
        self.step = Step(
            ids_N=torch.tensor(ids, device=device),
            positions_N=torch.tensor(positions, device=device),
            running=len(running),
            readings=tuple(reading for _, reading in pieces),
            wanted_M=torch.tensor(rows, device=device, dtype=torch.long),
            adapters_N=torch.tensor(self._owners(), device=device) if self.adapters else None,
        )

    def last(self, logits_MV: Tensor) -> Tensor:
        """The logits from which next tokens are drawn."""
        if len(self.wanted) == len(logits_MV):
            return logits_MV
        return logits_MV[torch.tensor([row for row, _ in self.wanted], device=logits_MV.device, dtype=torch.long)]

    def score_prompts(self, logits_MV: Tensor) -> None:
        """How likely the prompts' own tokens were, for who asked."""
        row = len(self._running)
        for answering, reading in self._pieces:
            end = reading.start + reading.length
            if not answering.options.scores_prompt:
                row += end == len(answering.ids)
                continue
            if reading.start == 0:
                first = answering.ids[0]
                answering.prompt_chances.append(Chance(first, answering.decode(first), None))
            for place in range(reading.start, min(end, len(answering.ids) - 1)):
                logits_V, token = logits_MV[row + place - reading.start], answering.ids[place + 1]
                others = answering.options.log_probs or 0
                answering.prompt_chances.append(chance_of(logits_V, token, others, answering.decode))
            row += reading.length

    def _owners(self) -> list[int]:
        """Each row's adapter by its number, -1 for none."""
        numbers = {loaded: number for number, loaded in enumerate(self.adapters)} | {None: -1}
        rows = [numbers[each.adapter] for each in self._running]
        for answering, reading in self._pieces:
            rows += [numbers[answering.adapter]] * reading.length
        return rows
