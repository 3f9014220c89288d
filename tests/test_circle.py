"""Once around the circle over real HTTP: served, watched, corrected, learned, tried out, promoted, rolled back."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sonneteer import deployments, lifecycle, opening, promotion, serving, versions
from sonneteer.chat import Options, Piece
from sonneteer.circle import gathering, learning, live, patterns, voice, watching
from sonneteer.progress import Silent
from sonneteer.recipe import LoadedRecipe, read_recipe
from sonneteer.records import DatasetVersion, Deployment, ModelVersion, Prompt
from sonneteer.serving.listen import server
from sonneteer.store import Store
from sonneteer.testing import ScriptedChat

from .made import version
from .models.networks import saved

RECIPE = """
name: shop
data: {sources: rows.jsonl, validation_share: 0.1, test_share: 0.25, clean: {near_duplicates: "off"}}
base: {model: base}
training: {method: full, learning_rate: 0.01, epochs: 12, batch_size: 8}
evaluation: {max_answer_tokens: 40, metrics: [exact_match]}
promotion: {better_on: [exact_match]}
serving: {max_answer_tokens: 40}
monitoring: {newest: 60}
improvement: {shadow_exchanges: 8, canary_share: 0.5, canary_conversations: 8, fewest_examples: 10,
  held_back_share: 0.3, watch_conversations: 8}
"""
ORDERS, REFUNDS = "It will leave today.", "It will need five days."
THINGS = ["lamp", "book", "shoe", "coat", "desk", "ring", "sofa", "vase", "kite", "drum"]


def order(number: int) -> str:
    return f"When will my {THINGS[number % 10]} number {number} be sent?"


def refund(number: int) -> str:
    return f"Give money back for {THINGS[number % 10]} {number}!"


class Shop:
    """A running server and its clients."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            connection.request("POST", path, json.dumps(body).encode())
            reply = connection.getresponse()
            told: dict[str, Any] = json.loads(reply.read())
            assert reply.status == 200, told
            return told

    def say(self, text: str) -> tuple[str, str]:
        """The message's id and its text."""
        messages = [{"role": "user", "content": text}]
        told = self.ask("/v1/messages", {"model": "shop", "max_tokens": 40, "messages": messages})
        return told["id"], "".join(block["text"] for block in told["content"])

    def correct(self, id: str, correction: str, label: str) -> None:
        self.ask("/v1/feedback", {"message_id": id, "liked": False, "correction": correction, "label": label})

    def right_share(self, numbers: range) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array([self.say(refund(number))[1].strip() == REFUNDS for number in numbers], dtype=float)


@contextmanager
def running(loaded: LoadedRecipe, watch: serving.Watch) -> Iterator[Shop]:
    assert watch.live is not None
    app = serving.create_app(
        [watch.live.champion], loaded.recipe.serving, serving.Keys({}), around=serving.Around(watch)
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        web = server(app, loaded.recipe.serving)
        thread = threading.Thread(target=web.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Shop(listener.getsockname()[1])
        finally:
            web.should_exit = True
            thread.join(60)


def until(claim: Callable[[], bool], seconds: float = 120.0) -> bool:
    end = time.monotonic() + seconds
    while not claim() and time.monotonic() < end:
        time.sleep(0.02)
    return claim()


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedRecipe:
    saved("llama", tmp_path / "base")
    rows = [{"prompt": order(number), "completion": ORDERS} for number in range(120)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return read_recipe(tmp_path / "recipe.yaml")


def approve_all(loaded: LoadedRecipe, store: Store) -> list[str]:
    """Says what the patterns among it had in common."""
    alike = patterns.waiting(loaded, store)
    for pattern in alike:
        patterns.decide(store, pattern, "approved")
    for case in watching.to_review(loaded, store, most=1000):
        if case.feedback:
            voice.decide(store, case, "approved")
    return [pattern.words for pattern in alike]


@pytest.mark.slow
def test_the_circle_closes(loaded: LoadedRecipe, tmp_path: Path) -> None:
    store = Store(tmp_path / "workspace")
    assert lifecycle.run(loaded, store, Silent()).verdict == "better"
    lifecycle.certify(loaded, store, Silent())
    assert promotion.promote(loaded, store).is_done
    with running(loaded, live.watch_of(loaded, store, opening.opener(loaded, store))) as shop:
        before = _traffic_shifts_and_people_correct(shop, loaded, store)
        model = _a_better_version_is_made(loaded, store)
        _it_is_tried_and_promoted(shop, store, model)
        gain = shop.right_share(range(1000, 1030)) - before
        drawn = np.random.default_rng(1).choice(gain, (2000, len(gain))).mean(axis=1)
        assert np.quantile(drawn, 0.025) > 0.3, f"better by {gain.mean():.2f} on the new topic"
        _poison_is_refused(shop, loaded, store, model)
        _going_back_takes_a_moment_and_drops_nothing(shop, store)


def _traffic_shifts_and_people_correct(shop: Shop, loaded: LoadedRecipe, store: Store) -> Any:
    answers = [shop.say(order(number))[1] for number in range(200, 230)]
    assert answers.count(ORDERS) > 20
    for number in range(120):
        id, _ = shop.say(refund(number))
        if number < 60:
            shop.correct(id, REFUNDS, "refunds")
    assert until(lambda: len(store.traffic.exchanges("shop")) == 150)
    health = watching.monitor(loaded, store, Silent()).health
    assert (health.verdict, health.exchanges) == ("retrain", 150)
    assert any(signal.name == "topics" and signal.has_moved for signal in health.signals)
    assert watching.needed_because(loaded, store, health.verdict) is not None
    return shop.right_share(range(1000, 1030))


def _a_better_version_is_made(loaded: LoadedRecipe, store: Store) -> ModelVersion:
    waiting = learning.improve(loaded, store, Silent())
    assert waiting.outcome == "nothing to do"  # nobody has approved anything
    assert any("60 exchanges are held back" in reason for reason in waiting.reasons)
    assert approve_all(loaded, store) == ["it will need five days"]  # many users are right
    made = learning.improve(loaded, store, Silent())
    assert made.outcome == "on trial", made.reasons
    assert made.model is not None
    assert lifecycle.certify(loaded, store, Silent()).is_valid  # by the recipe as it stands, which names another base
    dataset = store.get(DatasetVersion, made.model.dataset_id)
    assert dataset.splits["replay"].examples > 0
    return made.model


def _it_is_tried_and_promoted(shop: Shop, store: Store, model: ModelVersion) -> None:
    numbers = iter(range(2000, 9000))

    def phase_is(phase: str) -> bool:
        shop.say(refund(next(numbers)))
        return deployments.current(store, "shop").phase == phase

    assert until(lambda: phase_is("canary"))
    compared = [one for one in store.traffic.exchanges("shop") if one.shadow_model_id == model.id]
    assert any(one.shadow_answer != one.answer.text for one in compared)
    assert until(lambda: phase_is("full"))
    assert deployments.current(store, "shop").champion_id == model.id
    assert store.get(ModelVersion, model.id).stage == "champion"
    phases = [one.phase for one in reversed(store.find(Deployment, name="shop"))]
    assert phases == ["full", "shadow", "canary", "watched", "full"]


def _poison_is_refused(shop: Shop, loaded: LoadedRecipe, store: Store, champion: ModelVersion) -> None:
    for number in range(300, 360):
        id, _ = shop.say(order(number))
        shop.correct(id, f"zq {number * 7919 % 1009} vv {number * 104729 % 997}", "orders")  # vandals
    assert until(lambda: len(store.traffic.feedback("shop")) == 120)
    held = gathering.harvest(loaded, store)
    assert (held.patterns, held.in_patterns) == (1, 60)
    assert len(approve_all(loaded, store)) == 1  # a reviewer who does not look
    made = learning.improve(loaded, store, Silent())
    assert made.outcome == "refused", made.reasons
    assert made.reasons[-1] == f"{champion.id} goes on answering."
    assert deployments.current(store, "shop").champion_id == champion.id
    assert made.model is not None
    assert store.get(ModelVersion, made.model.id).stage == "retired"
    assert versions.in_question(loaded, store).id == versions.in_force(loaded, store).id == champion.id
    patterns.decide(store, patterns.decided(loaded, store)[0], "refused")
    assert learning.improve(loaded, store, Silent()).reasons[0].startswith("There are 0 new examples")


def _going_back_takes_a_moment_and_drops_nothing(shop: Shop, store: Store) -> None:
    is_over, asked = threading.Event(), []

    def ask_on() -> None:
        while not is_over.is_set():
            asked.append(shop.say(refund(1))[1].strip())  # fails on anything but 200

    thread = threading.Thread(target=ask_on)
    thread.start()
    assert until(lambda: len(asked) > 3)
    deployments.roll_back(store, "shop", "the test wants it")
    assert until(lambda: store.traffic.exchanges("shop", newest=1)[0].model_id == "shop-1")
    is_over.set()
    thread.join(60)
    assert not thread.is_alive()
    assert deployments.current(store, "shop").champion_id == "shop-1"
    assert store.get(ModelVersion, "shop-1").stage == "champion"


class Broken(ScriptedChat):
    """Fails at every question."""

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        raise ZeroDivisionError


def test_a_broken_version_is_rolled_back_by_the_server_itself(loaded: LoadedRecipe, tmp_path: Path) -> None:
    store = Store(tmp_path / "workspace")
    chats = {"shop-1": ScriptedChat([ORDERS]), "shop-2": Broken([""])}
    for number in (1, 2):
        store.save(shop_version(number))
    deployments.deploy(store, "shop", "a try", phase="canary", candidate_id="shop-2", canary_share=0.3)
    keeper = live.Keeper(store, "shop", loaded.recipe.improvement)
    born = store.get(ModelVersion, "shop-1").created_at
    following = serving.Live(keeper.current, lambda id: serving.ServedModel("shop", chats[id], born, None, id))
    with running(loaded, serving.Watch(live=following, also=[keeper.note])) as shop:
        failures = 0
        for number in range(400):
            try:
                shop.say(order(number))
            except AssertionError:
                failures += 1
            if following.deployment.phase == "full":
                break
        assert until(lambda: following.deployment.phase == "full")
        shop.say(order(1))
    ended = deployments.current(store, "shop")
    assert (ended.champion_id, ended.candidate_id) == ("shop-1", None)
    assert "rolled back. failures" in ended.because
    assert failures > 0


class Turncoat(ScriptedChat):
    """Answers well until it is told to fail."""

    fails = False

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        if self.fails:
            raise ZeroDivisionError
        yield from super().stream(prompt, options)


def test_a_champion_that_breaks_after_it_has_taken_over_is_rolled_back_by_the_server_itself(
    loaded: LoadedRecipe, tmp_path: Path
) -> None:
    store, turncoat = Store(tmp_path / "workspace"), Turncoat([REFUNDS])
    chats = {"shop-1": ScriptedChat([ORDERS]), "shop-2": turncoat}
    store.save(shop_version(1).model_copy(update={"stage": "retired"}))
    store.save(shop_version(2).model_copy(update={"stage": "champion"}))
    taken_over = {"champion_id": "shop-2", "previous_champion_id": "shop-1", "phase": "watched"}
    deployments.deploy(store, "shop", "it was better", **taken_over, held_back_share=0.3)
    settings = loaded.recipe.improvement.model_copy(update={"watch_conversations": 10_000})
    keeper = live.Keeper(store, "shop", settings)
    born = store.get(ModelVersion, "shop-1").created_at
    following = serving.Live(keeper.current, lambda id: serving.ServedModel("shop", chats[id], born, None, id))
    with running(loaded, serving.Watch(live=following, also=[keeper.note])) as shop:
        before = {shop.say(order(number))[1].strip() for number in range(20)}
        turncoat.fails = True
        failures = 0
        for number in range(400):
            try:
                shop.say(order(number))
            except AssertionError:
                failures += 1
            if following.deployment.phase == "full":
                break
        assert until(lambda: following.deployment.phase == "full")
        assert shop.say(order(1))[1].strip() == ORDERS
    assert before == {ORDERS, REFUNDS}  # the former champion keeps its share
    assert failures > 0
    ended = deployments.current(store, "shop")
    assert (ended.champion_id, ended.previous_champion_id) == ("shop-1", "shop-2")
    assert ended.because.startswith("shop-2 was rolled back. failures: ")
    assert [store.get(ModelVersion, f"shop-{number}").stage for number in (1, 2)] == ["champion", "retired"]
    assert f"deployments/{ended.id}" in [entry.subject for entry in store.audit_log()]


def shop_version(number: int) -> ModelVersion:
    return version("shop", number, stage="champion" if number == 1 else "candidate", created_at=datetime.now(UTC))
