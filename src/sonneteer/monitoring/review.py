"""The review queue: what a person should look at first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from sonneteer.monitoring.health import question_of
from sonneteer.monitoring.view import View
from sonneteer.records import Exchange, Feedback


class Case(NamedTuple):
    """One exchange to look at, with what was said of it, and why it is looked at."""

    exchange: Exchange
    feedback: Feedback | None
    why: str


def queue(
    view: View, exchanges: Sequence[Exchange], feedback: Sequence[Feedback], most: int, held: Collection[str] = ()
) -> list[Case]:
    """What users said waits for a decision first; then, in turn, least sure answers and most different questions.

    What a reviewer has seen already is left out, and so are `held` exchanges, which are decided on as a pattern.
    """
    decided = {said.exchange_id for said in feedback if said.by == "reviewer" or said.opinion != "open"}
    decided |= set(held)
    waiting = {exchange.id: exchange for exchange in exchanges if not exchange.problem and exchange.id not in decided}
    said = [
        Case(waiting[one.exchange_id], one, "a user said something") for one in feedback if one.exchange_id in waiting
    ]
    for case in said:
        waiting.pop(case.exchange.id, None)
    return [*said, *_in_turn(view, list(waiting.values()))][:most]


def _in_turn(view: View, exchanges: Sequence[Exchange]) -> list[Case]:
    different = np.argsort(-view.novelty([question_of(exchange) for exchange in exchanges]), kind="stable")
    told = [place for place, exchange in enumerate(exchanges) if exchange.confidence is not None]
    unsure = sorted(told, key=lambda place: exchanges[place].confidence or 0.0)
    cases: dict[int, Case] = {}
    for rank in range(len(exchanges)):
        if rank < len(unsure):
            exchange = exchanges[unsure[rank]]
            cases.setdefault(unsure[rank], Case(exchange, None, f"the model was {exchange.confidence:.0%} sure"))
        cases.setdefault(int(different[rank]), Case(exchanges[int(different[rank])], None, "unlike what was learned"))
    return list(cases.values())
