"""What people said becomes rows that the data room reads like any others, and regression cases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from sonneteer.privacy.protect import MASKS
from sonneteer.recipe.learning import COMPARING, Objective
from sonneteer.records import Case, Example, Exchange, Feedback, Message
from sonneteer.records.rows import Row, row_of


class Harvest(NamedTuple):
    """New rows for the data room, and new regression cases."""

    rows: list[Row]
    cases: list[Case]
    held_back: int
    """Corrections in which personal data was masked: the mask must not be learned, so a reviewer writes them anew."""


def harvest(exchanges: Mapping[str, Exchange], feedback: Iterable[Feedback], objective: Objective) -> Harvest:
    """Rows of everything that was said and may be learned. The last word on an exchange counts."""
    rows: list[Row] = []
    cases: list[Case] = []
    last = {said.exchange_id: said for said in feedback if said.exchange_id in exchanges}
    held_back = {id for id, said in last.items() if any(mask in (said.correction or "") for mask in MASKS.values())}
    for id, said in last.items():
        if id in held_back:
            continue
        exchange = exchanges[id]
        rows += [row_of(example) for example in _examples(exchange, said, objective)]
        if said.is_good is False and said.correction is not None:
            cases.append(_case(exchange, said.correction))
    return Harvest(rows, cases, len(held_back))


def taught(exchange: Exchange, said: Feedback, objective: Objective) -> list[tuple[str, bool]]:
    """The answers that would be learned from it, and whether to be said or not to be said."""
    return [(example.answer.text, example.label is not False) for example in _examples(exchange, said, objective)]


def _examples(exchange: Exchange, said: Feedback, objective: Objective) -> Iterator[Example]:
    tags = {"conversation": exchange.conversation, "time": exchange.created_at.isoformat(), "exchange": exchange.id}
    answered = Example(
        messages=(*exchange.prompt.messages, exchange.answer),
        tools=exchange.prompt.tools,
        tags=tags | ({"topic": said.label} if said.label else {}),
    )
    correction = None if said.correction is None else Message(role="assistant", text=said.correction)
    corrected = correction and answered.with_answer(correction)
    if objective in COMPARING:
        if corrected and corrected.answer != exchange.answer:
            yield corrected.model_copy(update={"rejected": exchange.answer})
        return
    if objective == "kto":
        opinions = ((answered, said.is_good), (corrected, True))
        yield from (one.model_copy(update={"label": label}) for one, label in opinions if one and label is not None)
    elif corrected:
        yield corrected
    elif said.is_good:
        yield answered


def _case(exchange: Exchange, correction: str) -> Case:
    prompt, bad = exchange.prompt.messages, exchange.answer.text
    return Case(id=Case.name_of(prompt, bad), prompt=prompt, bad=bad, good=correction, created_at=exchange.created_at)
