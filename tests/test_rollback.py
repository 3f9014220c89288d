"""The server goes back by itself: for each kind of harm, on trial and after the take-over, and for no other reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sonneteer import deployments, serving
from sonneteer.chat import Answer, Options, Piece
from sonneteer.circle import live
from sonneteer.monitoring import Usual
from sonneteer.recipe import read_recipe
from sonneteer.records import Prompt
from sonneteer.serving import traffic
from sonneteer.store import Store
from sonneteer.testing import ScriptedChat

from .test_circle import Shop, running, shop_version, until

GOOD = "It will leave the house tomorrow."
REFUSAL = "I'm sorry, I cannot help with that."
BABBLE = "house tomorrow " * 15
ENOUGH = 10_000
"""Conversations that no test sends: nothing goes forward."""


class Clock:
    """Goes on only when somebody says so, and a little at each look."""

    def __init__(self) -> None:
        self._ticks, self.waited = count(), 0.0

    def monotonic(self) -> float:
        return next(self._ticks) * 1e-6 + self.waited


class Version(ScriptedChat):
    """Answers `said`, so sure, after so many seconds."""

    def __init__(self, clock: Clock, said: str = GOOD, sure: float = 0.9, seconds: float = 0.1) -> None:
        super().__init__([said])
        self._clock, self._sure, self._seconds = clock, sure, seconds

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        self._clock.waited += self._seconds
        for piece in super().stream(prompt, options):
            yield piece if piece.answer is None else Piece("", self._as_sure(piece.answer))

    def _as_sure(self, answer: Answer) -> Answer:
        return answer.model_copy(update={"confidence": self._sure})


class Failing(Version):
    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        raise ZeroDivisionError


HARMS: dict[str, Callable[[Clock], Version]] = {
    "failures": Failing,
    "slow answers": lambda clock: Version(clock, seconds=5.0),
    "no answer or a refusal": lambda clock: Version(clock, REFUSAL),
    "disliked answers": Version,
    "strange answers": lambda clock: Version(clock, BABBLE),
    "strange answers: unsure": lambda clock: Version(clock, sure=0.2),
}


class Trial(NamedTuple):
    """A running server with two versions, of which shop-2 is the new one."""

    shop: Shop
    store: Store
    following: serving.Live

    @property
    def is_over(self) -> bool:
        return self.following.deployment.phase == "full"

    def ask(self, number: int) -> str:
        """The message's id, empty for a failure."""
        try:
            return self.shop.say(f"Where is my order number {number}?")[0]
        except AssertionError:
            return ""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(traffic, "time", clock)
    monkeypatch.setattr(live, "FEEDBACK_SECONDS", 0.0)
    return clock


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., Any]:
    (tmp_path / "recipe.yaml").write_text(
        "name: shop\ndata: {sources: a.jsonl}\nimprovement: {canary_share: 0.4, held_back_share: 0.4, "
        f"canary_conversations: {ENOUGH}, watch_conversations: {ENOUGH}, shadow_exchanges: {ENOUGH}}}\n"
    )
    loaded = read_recipe(tmp_path / "recipe.yaml")

    @contextmanager
    def begun(phase: str, chats: dict[str, Version], usual: dict[str, Usual]) -> Iterator[Trial]:
        store = Store(tmp_path / "workspace")
        _put_on_trial(store, phase)
        keeper = live.Keeper(store, "shop", loaded.recipe.improvement, usual.get)
        born = datetime(2026, 3, 1, tzinfo=UTC)
        following = serving.Live(keeper.current, lambda id: serving.ServedModel("shop", chats[id], born, None, id))
        recorder = serving.Recorder(store.traffic, loaded.recipe.monitoring, loaded.recipe.privacy)
        with running(loaded, serving.Watch(recorder, live=following, also=[keeper.note])) as shop:
            yield Trial(shop, store, following)

    return begun


def _put_on_trial(store: Store, phase: str) -> None:
    first, second = shop_version(1), shop_version(2)
    if phase == "watched":
        first, second = (one.model_copy(update={"stage": two.stage}) for one, two in ((first, second), (second, first)))
    store.save(first)
    store.save(second)
    changes = {
        "canary": {"candidate_id": "shop-2", "canary_share": 0.4},
        "watched": {"champion_id": "shop-2", "previous_champion_id": "shop-1", "held_back_share": 0.4},
    }
    deployments.deploy(store, "shop", "a try", phase=phase, **changes[phase])


USUAL = Usual(shortest=4, longest=12, least_sure=0.7)


@pytest.mark.parametrize("phase", ["canary", "watched"])
@pytest.mark.parametrize("harm", HARMS)
def test_each_kind_of_harm_ends_it(begin: Callable[..., Any], clock: Clock, phase: str, harm: str) -> None:
    chats = {"shop-1": Version(clock), "shop-2": HARMS[harm](clock)}
    with begin(phase, chats, {"shop-1": USUAL, "shop-2": USUAL}) as trial:
        for number in range(400):
            id = trial.ask(number)
            if harm == "disliked answers" and trial.store.traffic.exchange(_written(trial, id)).model_id == "shop-2":
                trial.shop.ask("/v1/feedback", {"message_id": id, "liked": False})
            if trial.is_over:
                break
        assert until(lambda: trial.is_over)
    ended = deployments.current(trial.store, "shop")
    assert ended.champion_id == "shop-1"
    assert ended.because.startswith(f"shop-2 was rolled back. {harm.partition(':')[0]}: ")


def _written(trial: Trial, message_id: str) -> str:
    """The exchange's id, once it can be read."""
    id = message_id.removeprefix("msg_")
    assert until(lambda: any(one.id == id for one in trial.store.traffic.exchanges("shop", newest=1)))
    return id


@pytest.mark.parametrize("phase", ["canary", "watched"])
def test_new_questions_that_both_answer_strangely_are_not_blamed_on_the_new_version(
    begin: Callable[..., Any], clock: Clock, phase: str
) -> None:
    """Though the new version was evaluated on questions with shorter answers, of which it was surer."""
    usual = {"shop-1": Usual(4, 50, 0.3), "shop-2": Usual(4, 8, 0.8)}
    chats = {id: Version(clock, BABBLE, sure=0.5, seconds=3.0) for id in usual}
    with begin(phase, chats, usual) as trial:
        for number in range(200):
            trial.ask(number)
        assert trial.following.deployment.phase == phase
    arms = [one.model_id for one in trial.store.traffic.exchanges("shop")]
    assert min(arms.count(id) for id in usual) > 40
