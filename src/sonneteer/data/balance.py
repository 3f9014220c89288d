"""Caps and floors for the values of a tag, so that no topic or group drowns the others."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from difflib import get_close_matches

from sonneteer.data.candidates import Candidate
from sonneteer.data.ledger import Ledger
from sonneteer.errors import DataError, RecipeError
from sonneteer.privacy import is_digest
from sonneteer.recipe.sections import BalanceSettings
from sonneteer.records import Example


def balanced(candidates: Sequence[Candidate], balance: BalanceSettings, ledger: Ledger) -> list[Candidate]:
    """At most so many examples of each value, drawn by a hash of their content.

    Raises DataError where a value has fewer than the floor. Examples without the tag are left alone.
    """
    by_value: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        value = candidate.tags.get(balance.by or "")
        if value and candidate.side != "replay":
            by_value[value].append(candidate)
    for value, own in sorted(by_value.items()):
        if balance.fewest is not None and len(own) < balance.fewest:
            raise DataError(
                f"{balance.by} '{value}' has {len(own)} examples, but data.balance.fewest is {balance.fewest}. Bring "
                "more of them, or lower it."
            )
    beyond: set[int] = set()
    for value, own in by_value.items():
        named = f"this {balance.by}" if is_digest(value) else f"{balance.by} '{value}'"
        for candidate in sorted(own, key=_lot)[balance.most :] if balance.most else ():
            said = f"cap: {named} has {len(own)} examples, but data.balance.most is {balance.most}"
            ledger.enter(candidate.entry("dropped", said))
            beyond.add(id(candidate))
    return [candidate for candidate in candidates if id(candidate) not in beyond]


def weighted(candidate: Candidate, balance: BalanceSettings) -> Candidate:
    """The same with the weight of its tag's value on all answers that are learned of it."""
    example = candidate.example
    weight = balance.weights.get(example.tags.get(balance.by or "", ""), 1.0)
    if weight == 1.0:
        return candidate
    messages = tuple(
        message.model_copy(update={"weight": message.weight * weight}) if message.role == "assistant" else message
        for message in example.messages
    )
    changed = Example.model_validate(example.model_dump() | {"messages": messages})
    return Candidate.of(candidate.source, candidate.row, changed, candidate.side)


def refuse_unknown_values(candidates: Sequence[Candidate], balance: BalanceSettings) -> None:
    """Raises RecipeError for a weight of what no example is."""
    if not balance.weights:
        return
    known = {candidate.tags.get(balance.by or "", "") for candidate in candidates} - {""}
    for value in balance.weights.keys() - known:
        near = get_close_matches(value, known, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"There are {', '.join(sorted(known)[:10]) or 'none'}."
        raise RecipeError(f"data.balance.weights: no example has the {balance.by} '{value}'. {hint}")


def _lot(candidate: Candidate) -> tuple[str, int]:
    return hashlib.sha256(f"cap-{candidate.id}".encode()).hexdigest(), candidate.row
