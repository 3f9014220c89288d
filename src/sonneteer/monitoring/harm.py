"""Whether the version on trial does harm: bad events come from it more often than its share of the traffic explains.

Conversations are dealt out by a hash. So if both versions are equally good, each bad event comes from the new one
with a probability that is its share, whatever the hour, the topic or the load. A gambler bets that it is more. As long
as the new one is no worse, his capital ever reaches 1/s with a probability of at most s, however often one looks
(Ville's inequality), and the mean of several such games is one, too. It is the same game before and after the new
version has become the champion: then the former one has kept a share.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np

from sonneteer.monitoring.usual import Usual
from sonneteer.monitoring.view import REFUSAL
from sonneteer.recipe.improvement import ImprovementSettings
from sonneteer.records import Deployment, Exchange, Feedback

CHANCES = 64
"""Chances of the candidate that the gambler spreads his stake over, from its share up to 1."""
KINDS = ("failures", "slow answers", "no answer or a refusal", "disliked answers", "strange answers")
FAILED, SLOW, EMPTY, DISLIKED, STRANGE = KINDS
SLOW_SHARE = 0.95
"""An answer is slow if it takes longer than this share of the champion's last ones."""
REMEMBERED, FEWEST = 500, 20

Step = Literal["wait", "advance", "go back"]


class Bet(NamedTuple):
    """What the gambler has on each chance, and what he had at the start."""

    chances: np.ndarray[tuple[int], np.dtype[np.float64]]
    capital: np.ndarray[tuple[int], np.dtype[np.float64]]


class Harm:
    """One kind of bad event."""

    def __init__(self, share: float) -> None:
        self._share = share
        chances = share + (1 - share) * (np.arange(CHANCES) + 0.5) / CHANCES
        self._bet = Bet(chances, np.full(CHANCES, 1 / CHANCES))
        self.events = {True: 0, False: 0}
        """Bad events of the candidate, and of the champion."""

    @property
    def capital(self) -> float:
        """1 at the start."""
        return float(self._bet.capital.sum())

    def note(self, is_candidate: bool) -> None:
        """One bad event."""
        self.events[is_candidate] += 1
        chances, capital = self._bet
        odds = chances / self._share if is_candidate else (1 - chances) / (1 - self._share)
        self._bet = Bet(chances, np.minimum(capital * odds, 1e250))


class Warden:
    """Watches one deployment's new version, and says when it has done well enough, or harm."""

    def __init__(self, deployment: Deployment, settings: ImprovementSettings, usual: Usual | None = None) -> None:
        """An answer of either version is strange where it is not as `usual`; without it none is."""
        self.deployment = deployment
        self._settings = settings
        self._usual = usual
        # In the shadow both answer the same: of the questions that only one answers badly, half are the candidate's.
        shares = {"shadow": 0.5, "canary": deployment.canary_share, "watched": 1 - deployment.held_back_share}
        self._harms = {kind: Harm(shares.get(deployment.phase, 0.5)) for kind in KINDS}
        self._counted: set[tuple[str, str]] = set()
        self._tried: set[str] = set()
        self._arms: dict[str, tuple[bool, str]] = {}
        self._champion_seconds: deque[float] = deque(maxlen=REMEMBERED)

    def note(self, exchange: Exchange) -> None:
        """One exchange under this deployment."""
        if self.deployment.phase == "shadow":
            if exchange.shadow_model_id == self.deployment.candidate_id:
                self._compare(exchange)
        elif self.deployment.phase in ("canary", "watched"):
            self._watch(exchange)

    def note_feedback(self, feedback: Iterable[Feedback]) -> None:
        """What people said so far."""
        for said in feedback:
            if said.is_good is False and said.exchange_id in self._arms:
                self._count(DISLIKED, *self._arms[said.exchange_id])

    def step(self) -> tuple[Step, str]:
        """What to do now, and why."""
        harms, settings = self._harms, self._settings
        if np.mean([harm.capital for harm in harms.values()]) >= 1 / settings.false_rollback_share:
            worst = max(harms, key=lambda kind: harms[kind].capital)
            bad, of_champion = harms[worst].events[True], harms[worst].events[False]
            return "go back", f"{worst}: {bad} of the new version, {of_champion} of the former"
        enough = {
            "shadow": settings.shadow_exchanges,
            "canary": settings.canary_conversations,
            "watched": settings.watch_conversations,
        }
        if self.deployment.phase == "full" or len(self._tried) < enough[self.deployment.phase]:
            return "wait", ""
        what = "exchanges" if self.deployment.phase == "shadow" else "conversations"
        return "advance", f"{len(self._tried)} {what} without harm"

    def _compare(self, exchange: Exchange) -> None:
        self._tried.add(exchange.id)
        said, shadowed = exchange.answer, exchange.shadow_answer or ""
        if exchange.shadow_problem:
            self._count(FAILED, True, exchange.id)
        elif not said.tool_calls:
            champion, candidate = _is_empty(said.text), _is_empty(shadowed)
            if champion != candidate:
                self._count(EMPTY, candidate, exchange.id)

    def _watch(self, exchange: Exchange) -> None:
        is_candidate = exchange.model_id == self.deployment.watched_id
        self._arms[exchange.id] = is_candidate, exchange.conversation
        if is_candidate:
            self._tried.add(exchange.conversation)
        if exchange.problem:
            self._count(FAILED, is_candidate, exchange.conversation)
            return
        if not exchange.answer.tool_calls and _is_empty(exchange.answer.text):
            self._count(EMPTY, is_candidate, exchange.conversation)
        if self._usual and not exchange.answer.tool_calls and self._usual.is_strange(exchange):
            self._count(STRANGE, is_candidate, exchange.conversation)
        known = self._champion_seconds
        if len(known) >= FEWEST and exchange.seconds > np.quantile(known, SLOW_SHARE):
            self._count(SLOW, is_candidate, exchange.conversation)
        if not is_candidate:
            known.append(exchange.seconds)

    def _count(self, kind: str, is_candidate: bool, where: str) -> None:
        """One event a conversation and kind: its turns belong together."""
        if (kind, where) not in self._counted:
            self._counted.add((kind, where))
            self._harms[kind].note(is_candidate)


def _is_empty(text: str) -> bool:
    return not text.strip() or bool(REFUSAL.search(text))
