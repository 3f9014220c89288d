"""What is not learned: exact duplicates, answers that people disliked, what is too long or has nothing to learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sonneteer.data.ledger import Ledger
from sonneteer.data.sources import Candidate
from sonneteer.errors import DataError
from sonneteer.recipe.sections import DataSettings
from sonneteer.records import Fate, Rendered, Renderer

LOST: tuple[Fate, ...] = ("broken", "duplicate", "disliked", "too_long", "nothing_to_learn")


class Counted(NamedTuple):
    """A candidate that can be learned, and its tokens."""

    candidate: Candidate
    tokens: int
    learned_tokens: int


def without_duplicates(candidates: Sequence[Candidate], ledger: Ledger) -> list[Candidate]:
    """The first of several that say exactly the same."""
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        original = first.setdefault(candidate.example.id, candidate)
        if original is not candidate:
            ledger.enter(candidate.entry("duplicate", f"says the same as {original.source}:{original.row}"))
    return list(first.values())


def without_disliked(candidates: Sequence[Candidate], ledger: Ledger) -> list[Candidate]:
    """Without the answers that people disliked: imitation would learn them."""
    disliked = [candidate for candidate in candidates if candidate.example.label is False]
    for candidate in disliked:
        ledger.enter(candidate.entry("disliked", "people disliked this answer, so it is not imitated"))
    return [candidate for candidate in candidates if candidate.example.label is not False]


def learnable(candidates: Sequence[Candidate], data: DataSettings, renderer: Renderer, ledger: Ledger) -> list[Counted]:
    """Those that the model can read, that are short enough, and of which something is learned.

    Raises DataError where none is left, or where one is too long and the settings say that this is a failure.
    """
    counted = [kept for candidate in candidates if (kept := _counted(candidate, data, renderer, ledger)) is not None]
    too_long = ledger.of_fate("too_long")
    if too_long and data.over_length == "fail":
        listed = "\n".join(f"  {entry.source}:{entry.row}: {entry.reason}" for entry in too_long)
        raise DataError(
            f"{len(too_long)} examples are too long, and data.over_length is 'fail':\n{listed}\n"
            "Shorten them, or raise data.max_tokens."
        )
    refuse_nothing(counted, ledger)
    return counted


def refuse_nothing(left: Sequence[object], ledger: Ledger) -> None:
    """Raises DataError where nothing is left to learn, and says what became of it all."""
    if not left:
        raise DataError(f"Nothing is left to learn. {_account(ledger)}")


def _counted(candidate: Candidate, data: DataSettings, renderer: Renderer, ledger: Ledger) -> Counted | None:
    try:
        sequences = renderer.render(candidate.example)
    except DataError as problem:
        ledger.enter(candidate.entry("broken", str(problem)))
        return None
    learned = sum(_learned_tokens(sequence) for sequence in sequences)
    longest = max((len(sequence.ids) for sequence in sequences), default=0)
    if learned == 0:
        ledger.enter(candidate.entry("nothing_to_learn", "no token of it is learned"))
        return None
    if longest > data.max_tokens and not candidate.example.is_text:  # plain text is learned in windows
        ledger.enter(candidate.entry("too_long", f"{longest} tokens, but data.max_tokens is {data.max_tokens}"))
        return None
    return Counted(candidate, sum(len(sequence.ids) for sequence in sequences), learned)


def _learned_tokens(sequence: Rendered) -> int:
    return sum(weight != 0 for weight in sequence.weights[1:])  # nothing stands before the first that could predict it


def _account(ledger: Ledger) -> str:
    """What became of the rows, with one example of each fate."""
    said = []
    for fate in LOST:
        if entries := ledger.of_fate(fate):
            first = entries[0]
            said.append(f"{len(entries)} {fate.replace('_', ' ')} (such as {first.source}:{first.row}: {first.reason})")
    return f"Of {ledger.rows} rows: {'; '.join(said)}."
