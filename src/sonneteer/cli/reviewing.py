"""The review queue in the terminal: one exchange after another, one key each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

if TYPE_CHECKING:
    from sonneteer.monitoring import Case, Pattern
    from sonneteer.records import Exchange, Opinion
    from sonneteer.store import Store

OF_PATTERNS = "a approve all, r refuse all, o one by one, s skip, q stop"
OF_FEEDBACK = "a approve, r refuse, c correct instead, s skip, q stop"
OF_ANSWERS = "g good, b bad, c correct, l label, s skip, q stop"


SHOWN = 3
"""Rows of a pattern."""


class Decided(NamedTuple):
    """What became of the patterns."""

    decided: int
    left: Sequence[Pattern]
    """Those that still wait."""
    is_stopped: bool = False


def review_patterns(
    found: Sequence[Pattern], store: Store, out: Console, read: Callable[[str], str] = input
) -> Decided:
    """Show pattern after pattern until none is left or the person stops."""
    from sonneteer.circle import patterns

    decisions: dict[str, patterns.Decision] = {"a": "approved", "r": "refused", "o": "open"}
    skipped: list[Pattern] = []
    for number, pattern in enumerate(found):
        _show_pattern(pattern, f"pattern {number + 1} of {len(found)}", store, out)
        key = _key(read, OF_PATTERNS)
        if key == "q":
            return Decided(number - len(skipped), [*skipped, *found[number:]], is_stopped=True)
        if key == "s":
            skipped.append(pattern)
        else:
            patterns.decide(store, pattern, decisions[key])
    return Decided(len(found) - len(skipped), skipped)


def _show_pattern(pattern: Pattern, title: str, store: Store, out: Console) -> None:
    out.print(Panel(Text("\n".join(_told(pattern, store))), title=title, title_align="left"))
    for row in pattern.rows[:SHOWN]:
        _show_question(row.exchange, out)
        out.print(Text.assemble(("answer: ", "dim"), row.exchange.answer.text or "(nothing)"))
        if pattern.is_wanted:
            out.print(Text.assemble(("would be learned: ", "dim"), row.texts[-1]), style="yellow")


def _told(pattern: Pattern, store: Store) -> Iterator[str]:
    said, names = pattern.feedback, {key.digest: key.name for key in store.keys.all()}
    keys = ", ".join(names.get(key, "one that is revoked") if key else "none" for key in sorted(pattern.keys))
    yield f"{len(pattern.rows)} times the same: to say {'just ' if pattern.is_whole else ''}“{pattern.words}”" + (
        "" if pattern.is_wanted else " is disliked"
    )
    if pattern.elsewhere is None:
        yield f"{said[-1].opinion.capitalize()} before."
    else:
        yield f"{pattern.elsewhere:.1%} of all other answers do."
    yield f"By keys: {keys}. From {said[0].created_at:%Y-%m-%d %H:%M} to {said[-1].created_at:%Y-%m-%d %H:%M}."


def review_cases(
    cases: Sequence[Case], store: Store, out: Console, read: Callable[[str], str] = input
) -> dict[str, int]:
    """Show case after case until none is left or the person stops; returns how often each key was pressed."""
    pressed: dict[str, int] = {}
    for number, case in enumerate(cases, 1):
        _show(case, f"{number} of {len(cases)}: {case.why}", out)
        key = _key(read, OF_FEEDBACK if case.feedback else OF_ANSWERS)
        if key == "q":
            break
        pressed[key] = pressed.get(key, 0) + 1
        _take(case, key, store, read)
    return pressed


def _take(case: Case, key: str, store: Store, read: Callable[[str], str]) -> None:
    from sonneteer.circle import voice

    opinions: dict[str, Opinion] = {"a": "approved", "r": "refused"}
    if key in opinions:
        voice.decide(store, case, opinions[key])
        return
    said: dict[str, Any] = {}
    if key in ("g", "b"):
        said["liked"] = key == "g"
    elif key in ("c", "l"):
        words = read("What should the answer be? " if key == "c" else "Label: ").strip()
        said |= {"correction" if key == "c" else "label": words} if words else {}
    if said:
        if case.feedback:
            voice.decide(store, case, "refused")
        voice.review(store, case, said)


def _key(read: Callable[[str], str], keys: str) -> str:
    """One of the keys; asked again until it is one. The end of the input stops."""
    allowed = {part.split()[0] for part in keys.split(", ")}
    while True:
        try:
            key = read(f"({keys}): ").strip().lower()
        except EOFError:
            return "q"
        if key in allowed:
            return key


def _show_question(exchange: Exchange, out: Console) -> None:
    for message in exchange.prompt.messages:
        if message.role != "system":
            out.print(Text.assemble((f"{message.role}: ", "dim"), message.text))


def _show(case: Case, title: str, out: Console) -> None:
    _show_question(case.exchange, out)
    out.print(Panel(Text(case.exchange.answer.text or "(nothing)"), title=title, title_align="left"))
    if case.feedback:
        said = case.feedback.model_dump(include={"liked", "stars", "correction", "label", "comment"}, exclude_none=True)
        out.print(Text("; ".join(f"{name}: {value}" for name, value in said.items() if value != ""), style="yellow"))
