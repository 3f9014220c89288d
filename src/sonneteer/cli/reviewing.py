"""The review queue in the terminal: one exchange after another, one key each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

if TYPE_CHECKING:
    from sonneteer.monitoring import Case
    from sonneteer.records import Opinion
    from sonneteer.store import Store

OF_FEEDBACK = "a approve, r refuse, c correct instead, s skip, q stop"
OF_ANSWERS = "g good, b bad, c correct, l label, s skip, q stop"


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


def _show(case: Case, title: str, out: Console) -> None:
    for message in case.exchange.prompt.messages:
        if message.role != "system":
            out.print(Text.assemble((f"{message.role}: ", "dim"), message.text))
    out.print(Panel(Text(case.exchange.answer.text or "(nothing)"), title=title, title_align="left"))
    if case.feedback:
        said = case.feedback.model_dump(include={"liked", "stars", "correction", "label", "comment"}, exclude_none=True)
        out.print(Text("; ".join(f"{name}: {value}" for name, value in said.items() if value != ""), style="yellow"))
