"""First and last names by country and gender, in circles that only a key knows: each name stands for the one before."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sonneteer.privacy.permute import Permutation

Kind = Literal["first", "last"]


class Circle:
    """Names of one country and gender, in an order that the key decides. No name stands for itself."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._place = {name.casefold(): place for place, name in enumerate(names)}

    def after(self, folded: str) -> str:
        """The name that stands for this one, which is given in lower case."""
        return self._names[(self._place[folded] + 1) % len(self._names)]

    def before(self, folded: str) -> str:
        """The name that this one stands for."""
        return self._names[self._place[folded] - 1]


def circles(permutation: Permutation) -> Mapping[Kind, Mapping[str, Circle]]:
    """Of first and of last names: for each, in lower case, its circle."""
    found: dict[Kind, dict[str, Circle]] = {"first": {}, "last": {}}
    for kind, listed in people().items():
        for group, names in listed.items():
            circle = Circle(sorted(names, key=lambda name, group=group: permutation.rank(name, group)))  # type: ignore[misc]
            found[kind] |= dict.fromkeys(map(str.casefold, names), circle)
    return found


@cache
def people() -> dict[Kind, dict[str, list[str]]]:
    """All names that are known, in groups such as `female de`. No name of one kind is in two groups."""
    packed = files("sonneteer.privacy").joinpath("people.json.gz").read_bytes()
    listed: dict[Kind, dict[str, list[str]]] = json.loads(gzip.decompress(packed))
    return listed
