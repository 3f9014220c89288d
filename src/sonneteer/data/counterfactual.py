"""Copies of training examples with another group in a group's place, so that both are answered alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sonneteer.data.bonds import bonds_of
from sonneteer.data.candidates import Candidate
from sonneteer.data.ledger import Ledger
from sonneteer.data.near_duplicates import near_duplicates
from sonneteer.groups import swap_example, swaps_of
from sonneteer.recipe.sections import DataSettings

SWAPPED = "swapped"
"""The tag of a copy: which groups changed places."""


def swapped_copies(
    learned: Sequence[Candidate], watching: Sequence[Candidate], data: DataSettings, ledger: Ledger
) -> list[Candidate]:
    """The copies of what is learned that are new, and have nothing in common with what watches or is sealed.

    A copy belongs to its original's row: the ledger notes there how many it has.
    """
    known = {candidate.id for candidate in learned}
    closed = {bond for candidate in watching for bond in bonds_of(candidate, data.keep_together)}
    copies = []
    for candidate in learned:
        for copy in _copies(candidate, data):
            if copy.id not in known and closed.isdisjoint(bonds_of(copy, data.keep_together)):
                known.add(copy.id)
                copies.append(copy)
    copies = _unlike(copies, watching, data.clean.near_duplicate_share)
    for (source, row), count in Counter((copy.source, copy.row) for copy in copies).items():
        ledger.remark(source, row, f"learned with groups swapped, too: {count}")
    return copies


def _copies(candidate: Candidate, data: DataSettings) -> list[Candidate]:
    example = candidate.example
    said = "\n".join(message.text for message in example.messages)
    copies = []
    for swap in swaps_of(said, data.balance.swaps):
        other = swap_example(example, swap)
        other = other.model_copy(update={"tags": example.tags | {SWAPPED: swap.name}})
        copies.append(Candidate.of(candidate.source, candidate.row, other, candidate.side))
    return copies


def _unlike(copies: list[Candidate], watching: Sequence[Candidate], share: float) -> list[Candidate]:
    """Those that are no near-duplicates of what watches or is sealed."""
    if not copies or not watching:
        return copies
    clusters = near_duplicates([*watching, *copies], share).clusters
    taken = set(clusters[: len(watching)])
    return [copy for copy, cluster in zip(copies, clusters[len(watching) :], strict=True) if cluster not in taken]
