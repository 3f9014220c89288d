"""What names the sides of a data set: all that their rows say, and nothing of the workspace in which they lie.

A person is stored as a digest under the workspace's key. In the name the rows that a digest stands in take its place:
they say as well who belongs together, and are the same under every key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sonneteer.privacy import is_digest
from sonneteer.records import SplitName, fingerprint_of


class Content(NamedTuple):
    """What one row of a side holds. The id stands for all that its example says."""

    id: str
    reference: Mapping[str, Any]
    tags: Mapping[str, str]


class _Row(NamedTuple):
    content: str
    """Fingerprint, without the digests."""
    digests: tuple[tuple[str, str], ...]
    """Tags, each with the digest that it has."""


def fingerprints(sides: Mapping[SplitName, Iterable[Content]]) -> dict[SplitName, str]:
    """The name of each side of one data set. The order of the rows does not matter."""
    rows = {side: [_row(content) for content in contents] for side, contents in sides.items()}
    places: dict[str, list[str]] = defaultdict(list)
    for own in rows.values():
        for row in own:
            for tag, digest in row.digests:
                places[digest].append(f"{tag} {row.content}")
    names = {digest: fingerprint_of(sorted(stands_in)) for digest, stands_in in places.items()}
    return {side: fingerprint_of(sorted(_named(row, names) for row in own)) for side, own in rows.items()}


def _row(content: Content) -> _Row:
    plain = {tag: value for tag, value in content.tags.items() if not is_digest(value)}
    digests = tuple((tag, value) for tag, value in content.tags.items() if is_digest(value))
    return _Row(fingerprint_of([content.id, content.reference, plain]), digests)


def _named(row: _Row, names: Mapping[str, str]) -> str:
    known = {tag: names[digest] for tag, digest in row.digests}
    return fingerprint_of([row.content, known]) if known else row.content
