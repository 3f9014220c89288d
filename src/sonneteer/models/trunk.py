"""What the frozen lower blocks make of each token, computed once and kept in a file: where only upper blocks learn.

A token's state depends on what stands before it alone, so the states of a whole data set are a forest like any other:
each beginning that sequences share is there once, and a batch picks its rows.

Shape letters: N rows of a batch, U unique tokens of the data set, D width.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from sonneteer.models.families import shares_prefixes
from sonneteer.models.forest import Forest, Rows, plant, rows_of
from sonneteer.models.layers import frozen_blocks
from sonneteer.models.logprobs import forests, hidden_states
from sonneteer.records import Rendered


class Trunk:
    """The states of all tokens at the first block that learns."""

    def __init__(self, network: PreTrainedModel, blocks: int, states_UD: torch.Tensor, rows: dict[bytes, Rows]) -> None:
        self._network = network
        self._blocks = blocks
        self._states_UD = states_UD
        self._rows = rows

    def hidden_states(self, forest: Forest, sequences: Sequence[Rendered]) -> torch.Tensor:
        """Last hidden states (N, D) of the forest that was planted of these sequences; all of them must be known."""
        places = np.empty(forest.unique_tokens, dtype=np.int64)
        for own, sequence in zip(rows_of(sequences), sequences, strict=True):
            places[own] = self._rows[_name(sequence)]
        states_ND = self._states_UD[torch.from_numpy(places)].to(forest.ids_N.device)
        with _replaced(self._network, self._blocks, states_ND):
            return hidden_states(self._network, forest)

    def knows(self, sequences: Sequence[Rendered]) -> bool:
        """Whether their states are kept."""
        return all(_name(sequence) in self._rows for sequence in sequences)


def can_keep(network: PreTrainedModel) -> bool:
    """Whether some lower blocks never change, and each token's state is that of its path."""
    blocks = network.get_decoder().layers[: frozen_blocks(network)]
    has_dropout = any(isinstance(part, torch.nn.Dropout) and part.p > 0 for block in blocks for part in block.modules())
    return bool(len(blocks)) and shares_prefixes(network) and not has_dropout


def size_gb(network: PreTrainedModel, sequences: Sequence[Rendered]) -> float:
    """What the file takes, in float32."""
    width: int = network.config.get_text_config().hidden_size
    return float(_layout(sequences)[0] * width * 4 / 1e9)


def keep_trunk(network: PreTrainedModel, sequences: Sequence[Rendered], unique_tokens: int, path: Path) -> Trunk:
    """Compute the states of these sequences, so many unique tokens at once; or open the file that holds them whole.

    The file belongs to this network and these sequences: the caller names it by both. Raises OSError on a full disk.
    """
    blocks, (unique, rows) = frozen_blocks(network), _layout(sequences)
    network.eval()
    example = _entering(network, blocks, plant([sequences[0]]).to(network.device))
    shape = unique, example.shape[1]
    if not path.exists():
        partial = path.with_suffix(".partial")
        _reserve(partial, shape[0] * shape[1] * example.element_size())
        states_UD = _mapped(partial, shape, example.dtype)
        for group, forest in forests(sequences, unique_tokens, network.device):
            entering_ND = _entering(network, blocks, forest).cpu()
            together = [sequences[i] for i in group]
            for own, sequence in zip(rows_of(together), together, strict=True):
                states_UD[torch.from_numpy(rows[_name(sequence)])] = entering_ND[torch.from_numpy(own)]
        partial.rename(path)
    return Trunk(network, blocks, _mapped(path, shape, example.dtype), rows)


def _reserve(path: Path, size: int) -> None:
    """Take the room on the disk now: a mapped file that finds none later would end the process."""
    with path.open("wb") as stream:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(stream.fileno(), 0, size)
        elif shutil.disk_usage(path.parent).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        stream.truncate(size)


def _mapped(path: Path, shape: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
    return torch.from_file(str(path), shared=True, size=shape[0] * shape[1], dtype=dtype).view(shape)


def _layout(sequences: Sequence[Rendered]) -> tuple[int, dict[bytes, Rows]]:
    """Unique tokens of all sequences together, and the rows of each."""
    rows = rows_of(sequences)
    return 1 + max(int(own[-1]) for own in rows), {_name(s): own for s, own in zip(sequences, rows, strict=True)}


def _name(sequence: Rendered) -> bytes:
    return hashlib.blake2b(np.asarray(sequence.ids, dtype=np.int64).tobytes(), digest_size=16).digest()


@torch.no_grad()
def _entering(network: PreTrainedModel, blocks: int, forest: Forest) -> torch.Tensor:
    """The states that enter the first learning block, (N, D). The blocks from there on are skipped."""
    found: list[torch.Tensor] = []
    first, *others = network.get_decoder().layers[blocks:]

    def note(hidden_states: torch.Tensor) -> torch.Tensor:
        found.append(hidden_states)
        return hidden_states

    with _computing({first: note} | dict.fromkeys(others, _nothing)):
        hidden_states(network, forest)
    return found[0][0, : forest.unique_tokens]


@contextmanager
def _replaced(network: PreTrainedModel, blocks: int, states_ND: torch.Tensor) -> Iterator[None]:
    """The network with what is known in the place of its lowest blocks."""
    first, *others = network.get_decoder().layers[:blocks]

    def known(hidden_states: torch.Tensor) -> torch.Tensor:
        filled_BND = states_ND.new_zeros(1, hidden_states.shape[1], states_ND.shape[1])
        filled_BND[0, : len(states_ND)] = states_ND
        return filled_BND

    with _computing({first: known} | dict.fromkeys(others, _nothing)):
        yield


def _nothing(hidden_states: torch.Tensor) -> torch.Tensor:
    return hidden_states


@contextmanager
def _computing(instead: dict[torch.nn.Module, Callable[[torch.Tensor], torch.Tensor]]) -> Iterator[None]:
    """Blocks that compute something else."""

    def forward(compute: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., torch.Tensor]:
        def replaced(hidden_states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
            return compute(hidden_states)

        return replaced

    before = {block: vars(block).get("forward") for block in instead}  # set where blocks are computed once more
    for block, compute in instead.items():
        block.forward = forward(compute)
    try:
        yield
    finally:
        for block, own in before.items():
            del block.forward
            if own is not None:
                block.forward = own
