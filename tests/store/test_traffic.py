"""Exchanges and feedback in the catalogue: in SQLite, and in a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from sonneteer.errors import MachineError, MissingError
from sonneteer.records import Deployment, Exchange, Feedback, Message, Prompt
from sonneteer.store import Store

from .postgres import Postgres, running_postgres

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def exchange(id: str, at: datetime = NOON, said: str = "Hello!", name: str = "poet") -> Exchange:
    return Exchange(
        id=id,
        name=name,
        model_id=f"{name}-1",
        conversation="c",
        created_at=at,
        prompt=Prompt(messages=(Message(role="user", text="Hi \x00 \U0001f600"),)),
        answer=Message(role="assistant", text=said),
        seconds=0.5,
    )


def feedback(id: str, of: str, at: datetime = NOON) -> Feedback:
    return Feedback(id=id, exchange_id=of, name="poet", created_at=at, liked=True)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "sqlite":
        return Store(tmp_path)
    store = Store(tmp_path, request.getfixturevalue("postgres").url)
    store.traffic.forget_before("poet", datetime(3000, 1, 1, tzinfo=UTC))
    return store


def test_exchanges_come_back_as_they_were_written_the_oldest_first(store: Store) -> None:
    first, second = exchange("b", NOON), exchange("a", NOON + timedelta(seconds=1))
    store.traffic.keep([second, first, exchange("c", name="another")])
    assert store.traffic.exchanges("poet") == [first, second]
    assert store.traffic.exchanges("poet", newest=1) == [second]
    assert store.traffic.exchanges("poet", since=NOON + timedelta(seconds=1)) == [second]
    assert store.traffic.exchanges("poet", until=NOON + timedelta(seconds=1)) == [first]


def test_writing_an_exchange_twice_keeps_the_last_words_once(store: Store) -> None:
    store.traffic.keep([exchange("a", said="one")])
    store.traffic.keep([exchange("a", said="two"), exchange("a", said="three")])
    assert [each.answer.text for each in store.traffic.exchanges("poet")] == ["three"]


def test_feedback_needs_its_exchange_and_goes_with_it(store: Store) -> None:
    with pytest.raises(MissingError, match="no exchange 'old'"):
        store.traffic.say(feedback("f", "old"))
    store.traffic.keep([exchange("old"), exchange("new", NOON + timedelta(days=2)), exchange("c", name="another")])
    store.traffic.say(feedback("f", "old"))
    store.traffic.say(feedback("g", "new"))
    assert store.traffic.forget_before("poet", NOON + timedelta(days=1)) == 1
    assert [each.id for each in store.traffic.exchanges("another")] == ["c"]  # which may be kept for longer
    assert [each.id for each in store.traffic.exchanges("poet")] == ["new"]
    assert [each.id for each in store.traffic.feedback("poet")] == ["g"]


def test_the_newest_deployment_is_found_first(store: Store) -> None:
    for number in (1, 2):
        moment = NOON + timedelta(seconds=number)
        store.save(Deployment(id=f"poet-d{number}", name="poet", created_at=moment, champion_id=f"poet-{number}"))
    newest = store.latest(Deployment, "poet")
    assert newest is not None
    assert newest.champion_id == "poet-2"
    assert store.audit_problems() == []


def test_a_database_that_was_away_is_used_again(tmp_path: Path, postgres: Postgres) -> None:
    store = Store(tmp_path, postgres.url)
    store.traffic.forget_before("poet", datetime(3000, 1, 1, tzinfo=UTC))
    postgres.stop()
    with pytest.raises(MachineError, match="cannot be used"):
        store.traffic.keep([exchange("a")])
    postgres.start()
    store.traffic.keep([exchange("a")])
    assert len(store.traffic.exchanges("poet")) == 1


def test_the_catalogues_url_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SONNETEER_CATALOGUE", f"sqlite:///{tmp_path / 'team.sqlite'}")
    Store(tmp_path / "workspace")
    assert (tmp_path / "team.sqlite").exists()


def test_only_shadow_and_canary_have_a_candidate() -> None:
    with pytest.raises(ValidationError, match="candidate"):
        Deployment(id="d", name="poet", created_at=NOON, champion_id="poet-1", phase="canary")


def test_feedback_says_something_and_tells_good_from_bad() -> None:
    def said(**what: object) -> Feedback:
        return Feedback.model_validate({"id": "f", "exchange_id": "e", "name": "poet", "created_at": NOON, **what})

    with pytest.raises(ValidationError, match="says something"):
        said()
    assert [said(stars=stars).is_good for stars in (1, 3, 5)] == [False, None, True]
    assert said(correction="No.").is_good is False
    assert said(liked=True, correction="Nicer still.").is_good is True
    assert said(comment="Hm.").is_good is None
