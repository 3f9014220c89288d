"""Beginnings of prompts that come again: their keys and values, block by block, so that they are read once.

A block is known by its tokens and all before them, and by the adapter that read them.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

BLOCK = 16  # tokens


class Prefixes:
    """Blocks of keys and values, at most so many bytes; what was not asked for longest goes first."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0
        self._blocks: OrderedDict[bytes, Tensor] = OrderedDict()

    def fill(self, ids: Sequence[int], reader: str, kv_LKTE: Tensor, read: int = 0) -> int:
        """Put what is known of these tokens in place, beyond what has been read.

        Returns how many tokens are known now: never all, for the last one is asked what follows.
        """
        known = []
        for key in _keys(ids[:-1], reader):
            if key not in self._blocks:
                break
            known.append(key)
        first = read // BLOCK  # a block of which a part has been read is put in place again
        if new := [self._blocks[key] for key in known[first:]]:
            torch.cat(new, 3, out=kv_LKTE[:, :, :, first * BLOCK : len(known) * BLOCK])
        self._touch(known)
        return max(len(known) * BLOCK, read)

    def keep(self, ids: Sequence[int], reader: str, kv_LKTE: Tensor) -> None:
        """Remember what has been read: the whole blocks of these tokens."""
        keys = list(_keys(ids, reader))
        for number, key in enumerate(keys):
            if key not in self._blocks:
                block = kv_LKTE[:, :, :, number * BLOCK : (number + 1) * BLOCK].clone()
                self._blocks[key] = block
                self.bytes += block.nbytes
        self._touch(keys)
        while self.bytes > self.most_bytes:
            self.bytes -= self._blocks.popitem(last=False)[1].nbytes

    def _touch(self, keys: Sequence[bytes]) -> None:
        for key in reversed(keys):  # the first block last: what follows it is of no use without it
            self._blocks.move_to_end(key)


def _keys(ids: Sequence[int], reader: str) -> Iterator[bytes]:
    key = reader.encode()
    for start in range(0, len(ids) - BLOCK + 1, BLOCK):
        told = array("q", ids[start : start + BLOCK]).tobytes()
        key = hashlib.blake2b(key + told, digest_size=16).digest()
        yield key
