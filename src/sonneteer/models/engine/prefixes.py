"""Beginnings of prompts that come again: their keys and values, block by block, so that they are read once.

A block is known by its tokens and all before them, and by the adapter that read them. Of a block that differs from a
known one in its later tokens, the first ones need not be read again either.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 16  # tokens


class _Block(NamedTuple):
    """Some tokens, with their keys and values."""

    ids: Sequence[int]
    before: bytes
    """The key of the block before."""
    kv_LKTE: Tensor


class Prefixes:
    """Blocks of keys and values, at most so many bytes; what was not asked for longest goes first."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0
        self._blocks: OrderedDict[bytes, _Block] = OrderedDict()
        self._begun: dict[tuple[bytes, int], bytes] = {}
        """The latest block after another one that begins with this token."""

    def fill(self, ids: Sequence[int], reader: str, kv_LKTE: Tensor, read: int = 0) -> int:
        """Put what is known of these tokens in place, beyond what has been read.

        Returns how many tokens are known now: never all, for the last one is asked what follows.
        """
        asked = ids[:-1]
        keys = _keys(asked, reader)
        known = list(takewhile(self._blocks.__contains__, keys[1:]))
        end = len(known) * BLOCK
        first = read // BLOCK  # a block of which a part has been read is put in place again
        if new := [self._blocks[key].kv_LKTE for key in known[first:]]:
            torch.cat(new, 3, out=kv_LKTE[:, :, :, first * BLOCK : end])
        like = self._begun.get((keys[len(known)], asked[end])) if end < len(asked) else None
        if like is not None and end >= read:
            block = self._blocks[like]
            same = sum(1 for _ in takewhile(bool, map(int.__eq__, block.ids, asked[end : end + BLOCK])))
            kv_LKTE[:, :, :, end : end + same] = block.kv_LKTE[:, :, :, :same]
            known, end = [*known, like], end + same
        self._touch(known)
        return max(end, read)

    def keep(self, ids: Sequence[int], reader: str, kv_LKTE: Tensor) -> None:
        """Remember what has been read: the whole blocks of these tokens."""
        keys = _keys(ids, reader)
        for number, key in enumerate(keys[1:]):
            if key not in self._blocks:
                place = slice(number * BLOCK, (number + 1) * BLOCK)
                block = _Block(ids[place], keys[number], kv_LKTE[:, :, :, place].clone())
                self._blocks[key] = block
                self._begun[block.before, block.ids[0]] = key
                self.bytes += block.kv_LKTE.nbytes
        self._touch(keys[1:])
        while self.bytes > self.most_bytes:
            key, block = self._blocks.popitem(last=False)
            self.bytes -= block.kv_LKTE.nbytes
            if self._begun.get((block.before, block.ids[0])) == key:
                del self._begun[block.before, block.ids[0]]

    def _touch(self, keys: Sequence[bytes]) -> None:
        for key in reversed(keys):  # the first block last: what follows it is of no use without it
            self._blocks.move_to_end(key)


def _keys(ids: Sequence[int], reader: str) -> list[bytes]:
    """The reader's own key, and those of the whole blocks of these tokens, one after the other."""
    keys = [reader.encode()]
    for start in range(0, len(ids) - BLOCK + 1, BLOCK):
        told = array("q", ids[start : start + BLOCK]).tobytes()
        keys.append(hashlib.blake2b(keys[-1] + told, digest_size=16).digest())
    return keys
