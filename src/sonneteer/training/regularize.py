"""Against overfitting: an anchor to the starting model, and a moving average of the weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from sonneteer.models.layers import has_adapter, without_adapter
from sonneteer.models.term_logprobs import Guide, departures
from sonneteer.training.checkpoint import Tensors
from sonneteer.training.lessons import Reading, read


class Anchor:
    """Holds the network near the starting model by KL(network || start) on the learned tokens.

    With an adapter the starting model is the network without it; otherwise it is a copy, which needs its memory again.
    """

    def __init__(self, network: PreTrainedModel) -> None:
        self._network = network
        self._start = None if has_adapter(network) else copy.deepcopy(network).requires_grad_(False).eval()

    def loss(self, reading: Reading) -> torch.Tensor:
        """Sum over the learned tokens, in nats."""
        return departures(reading.hidden_ND, reading.head, self._guide(reading), reading.part.forest.terms).sum()

    @torch.no_grad()
    def _guide(self, reading: Reading) -> Guide:
        if self._start is not None:
            start = read(self._start, reading.part)
        else:
            with without_adapter(self._network):
                start = read(self._network, reading.part)
        return Guide(start.hidden_ND, start.head)


class Average:
    """A moving average of trained weights (Polyak and Juditsky 1992): `decay` of the old, the rest of the new.

    In the first steps it forgets faster, so that the start does not stay in it.
    """

    def __init__(self, weights: Tensors, decay: float) -> None:
        self._weights = weights
        self._decay = decay
        self.tensors = {name: weight.clone() for name, weight in weights.items()}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Take the weights of a step (from 1) in."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, weight in self._weights.items():
            self.tensors[name].lerp_(weight, 1 - decay)

    @contextmanager
    def put_on(self) -> Iterator[None]:
        """The network with the average for its weights."""
        live = {name: weight.clone() for name, weight in self._weights.items()}
        self._copy(self.tensors)
        try:
            yield
        finally:
            self._copy(live)

    @torch.no_grad()
    def _copy(self, tensors: Tensors) -> None:
        for name, weight in self._weights.items():
            weight.copy_(tensors[name])
