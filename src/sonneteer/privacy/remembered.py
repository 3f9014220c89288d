"""What was found out once and need not be found out again; unlike an `lru_cache` it travels to other processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
MOST = 2**17


class Remembered(dict[K, V], Generic[K, V]):
    """Answers of a function by its argument, up to so many."""

    def __init__(self, find_out: Callable[[K], V]) -> None:
        super().__init__()
        self._find_out = find_out

    def __missing__(self, key: K) -> V:
        value = self._find_out(key)
        if len(self) < MOST:
            self[key] = value
        return value
