"""What is left out among all examples: duplicates, what is disliked, suspicious, too long, or has nothing to learn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from itertools import chain
from typing import Literal, NamedTuple, get_args

from sonneteer.data.candidates import Candidate
from sonneteer.data.hands import Hands
from sonneteer.data.ledger import Ledger
from sonneteer.data.near_duplicates import near_duplicates
from sonneteer.errors import DataError, RecipeError
from sonneteer.recipe.sections import CleanSettings, DataSettings
from sonneteer.records import KEPT, Example, Fate, Rendered, Renderer, SplitName

AT_ONCE = 1000
ALONE = Hands()
LOST: tuple[Fate, ...] = tuple(fate for fate in get_args(Fate) if fate not in (*KEPT, "replay"))


class Counted(NamedTuple):
    """A candidate that can be learned, and its tokens."""

    candidate: Candidate
    tokens: int
    learned_tokens: int


class _Weight(NamedTuple):
    """Tokens of an example; or its fate, where it cannot be learned."""

    tokens: int = 0
    learned_tokens: int = 0
    fate: Fate | None = None
    reason: str = ""


def without_duplicates(candidates: Sequence[Candidate], ledger: Ledger) -> list[Candidate]:
    """The first of several that say exactly the same. What is officially on two sides is a leak, and not this."""
    first: dict[tuple[SplitName | None, str], Candidate] = {}
    for candidate in candidates:
        original = first.setdefault((candidate.side, candidate.id), candidate)
        if original is not candidate:
            ledger.enter(candidate.entry("duplicate", f"says the same as {original.place}"))
    return list(first.values())


def parted_from_alike(
    candidates: Sequence[Candidate], clean: CleanSettings, ledger: Ledger, hands: Hands = ALONE
) -> list[Candidate]:
    """Near-duplicates are marked, so that the split keeps them together; or all but the first are dropped."""
    alike = near_duplicates(candidates, clean.near_duplicate_share, hands)
    for index in alike.partners.keys() | set(map(alike.clusters.__getitem__, alike.partners)):
        candidates[index].cluster = candidates[alike.clusters[index]].id
    dropped = set()
    for index, (partner, share) in alike.partners.items():
        said = f"nearly the same as {candidates[partner].place} ({share:.0%} of the three-word sequences)"
        if clean.near_duplicates == "drop" and candidates[index].side == candidates[alike.clusters[index]].side:
            ledger.enter(candidates[index].entry("near_duplicate", said))
            dropped.add(index)
        else:
            ledger.remark(candidates[index].source, candidates[index].row, said)
    return [candidate for index, candidate in enumerate(candidates) if index not in dropped]


def flagged(
    candidates: Sequence[Candidate], found: Mapping[int, str], action: Literal["flag", "drop"], ledger: Ledger
) -> list[Candidate]:
    """With what was found noted in the ledger, or without it."""
    for index, reason in found.items():
        if action == "drop":
            ledger.enter(candidates[index].entry("dropped", reason))
        else:
            ledger.remark(candidates[index].source, candidates[index].row, reason)
    return [candidate for index, candidate in enumerate(candidates) if action == "flag" or index not in found]


def learnable(
    candidates: Sequence[Candidate], data: DataSettings, renderer: Renderer, ledger: Ledger, hands: Hands = ALONE
) -> list[Counted]:
    """Those that the model can read, that are short enough, and of which something is learned.

    Raises DataError where none is left, or where one is too long and the settings say that this is a failure.
    """
    lines = ([one.line for one in candidates[start : start + AT_ONCE]] for start in range(0, len(candidates), AT_ONCE))
    counted = []
    weights = chain.from_iterable(hands.spread(partial(_weigh_all, data=data, renderer=renderer), lines))
    for candidate, weight in zip(candidates, weights, strict=True):
        if weight.fate:
            ledger.enter(candidate.entry(weight.fate, weight.reason))
        else:
            counted.append(Counted(candidate, weight.tokens, weight.learned_tokens))
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


def refuse_unknown_fates(limits: Iterable[str]) -> None:
    """Raises RecipeError for limits of fates that there are not, with the names that come nearest."""
    problems = []
    for name in set(limits) - set(get_args(Fate)):
        near = get_close_matches(name, get_args(Fate), n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known are {', '.join(get_args(Fate))}."
        problems.append(f"data.fail_above.{name}: no such fate. {hint}")
    if problems:
        raise RecipeError(sorted(problems))


def refuse_above(limits: Mapping[str, float], ledger: Ledger) -> None:
    """Raises DataError where fates are met more often than the recipe allows."""
    problems = []
    for fate, count in ledger.totals().items():
        limit = limits.get(fate, 1.0)
        if count > limit * ledger.rows:
            first = ledger.of_fate(fate)[0]
            problems.append(
                f"{count} of {ledger.rows} rows are '{fate}' ({count / ledger.rows:.1%}), more than data.fail_above "
                f"allows ({limit:.1%}), such as {first.source}:{first.row}: {first.reason or 'kept'}. Repair the "
                "rows, or allow more."
            )
    if problems:
        raise DataError("\n".join(problems))


def _weigh_all(lines: Sequence[str], data: DataSettings, renderer: Renderer) -> list[_Weight]:
    return [_weigh(Example.model_validate_json(line), data, renderer) for line in lines]


def _weigh(example: Example, data: DataSettings, renderer: Renderer) -> _Weight:
    try:
        sequences = renderer.render(example)
    except DataError as problem:
        return _Weight(fate="broken", reason=str(problem))
    learned = sum(_learned_tokens(sequence) for sequence in sequences)
    longest = max((len(sequence.ids) for sequence in sequences), default=0)
    if learned == 0:
        return _Weight(fate="nothing_to_learn", reason="no token of it is learned")
    if longest > data.max_tokens and not example.is_text:  # plain text is learned in windows
        return _Weight(fate="too_long", reason=f"{longest} tokens, but data.max_tokens is {data.max_tokens}")
    return _Weight(sum(len(sequence.ids) for sequence in sequences), learned)


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
