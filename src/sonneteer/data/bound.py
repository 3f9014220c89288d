"""Which of the rows that came from elsewhere the split would keep together, for whoever has to choose their side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sonneteer.data.bonds import ALIKE, Bond, bonds_of, groups
from sonneteer.data.candidates import Candidate
from sonneteer.data.near_duplicates import near_duplicates
from sonneteer.data.shapes import recognise
from sonneteer.data.values import RawRow
from sonneteer.data.ways import Part, example_of
from sonneteer.recipe.sections import DataSettings, SourceSettings


def bound(rows: Sequence[Mapping[str, Any]], data: DataSettings) -> list[int]:
    """A number for each row: equal numbers ask or say nearly the same, or belong to one person or conversation.

    Raises DataError for rows of no known shape.
    """
    if not rows:
        return []
    part = Part(SourceSettings(path="rows"), recognise(rows).shape, ())
    read = [example_of(RawRow(number, dict(row)), part) for number, row in enumerate(rows)]
    candidates = [Candidate.of("", number, example) for number, example in enumerate(read)]
    bonds: list[tuple[Bond, ...]] = [tuple(bonds_of(one, data.keep_together)) for one in candidates]
    if data.clean.near_duplicates != "off":
        clusters = near_duplicates(candidates, data.clean.near_duplicate_share).clusters
        bonds = [(*own, (ALIKE, str(cluster))) for own, cluster in zip(bonds, clusters, strict=True)]
    return groups(bonds)
