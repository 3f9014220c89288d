"""The health report of what is live, and that nothing is kept for longer than the recipe says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sonneteer import monitoring
from sonneteer.circle import gathering, watching
from sonneteer.progress import Silent
from sonneteer.recipe import LoadedRecipe, read_recipe
from sonneteer.records import Exchange, Message, ModelVersion, Prompt
from sonneteer.store import Store

WEBHOOK = "http://127.0.0.1:9/"  # where nobody listens
NOW = datetime.now(UTC)


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedRecipe:
    watched = f"monitoring: {{retention_days: 30, webhook: '{WEBHOOK}', newest: 50}}"
    (tmp_path / "recipe.yaml").write_text(f"name: shop\ndata: {{sources: a.jsonl}}\n{watched}\n")
    return read_recipe(tmp_path / "recipe.yaml")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "workspace")
    made = {"base": "b", "base_fingerprint": "f", "folder": "x", "is_adapter": True, "run_id": "r", "dataset_id": "d"}
    first = {"id": "shop-1", "name": "shop", "created_at": NOW, "number": 1, "stage": "champion"}
    store.save(ModelVersion.model_validate(first | made))
    return store


def asked(id: str, text: str, days: float) -> Exchange:
    return Exchange(
        id=id,
        name="shop",
        model_id="shop-1",
        conversation="c",
        created_at=NOW - timedelta(days=days),
        prompt=Prompt(messages=(Message(role="user", text=text),)),
        answer=Message(role="assistant", text="Yes."),
        seconds=0.1,
    )


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """On questions of lamps, without the files of a training."""
    questions = [f"Where is my lamp number {number}?" for number in range(400)]
    known = monitoring.profile_of(questions, (), 0)
    monkeypatch.setattr(watching, "profile", lambda *_: known)
    monkeypatch.setattr(watching, "_learned_questions", lambda *_: questions)


@pytest.mark.parametrize(
    "look",
    [
        lambda loaded, store: watching.monitor(loaded, store, Silent()),
        lambda loaded, store: watching.to_review(loaded, store, 5),
        gathering.harvest,
    ],
    ids=["monitor", "review", "harvest"],
)
@pytest.mark.usefixtures("trained")
def test_whoever_looks_deletes_what_is_too_old(
    look: Callable[[LoadedRecipe, Store], object], loaded: LoadedRecipe, store: Store
) -> None:
    store.traffic.keep([asked("old", "Where?", days=31), asked("new", "Where?", days=29)])
    look(loaded, store)
    assert [one.id for one in store.traffic.exchanges("shop")] == ["new"]


@pytest.mark.usefixtures("trained")
def test_a_webhook_that_is_away_costs_the_report_nothing(loaded: LoadedRecipe, store: Store) -> None:
    store.traffic.keep([asked(str(number), f"Sing me song {number} about the sea", 1) for number in range(120)])
    watched = watching.monitor(loaded, store, Silent())
    assert watched.health.verdict == "retrain"
    assert WEBHOOK in watched.untold
    assert watched.page.exists()


@pytest.mark.usefixtures("trained")
def test_who_says_retrain_does_not_say_that_there_is_nothing_to_tell_yet(loaded: LoadedRecipe, store: Store) -> None:
    store.traffic.keep([asked(str(number), f"Sing me song {number} about the sea", 1) for number in range(80)])
    health = watching.monitor(loaded, store, Silent()).health
    assert health.verdict == "retrain"
    assert not any("something to tell" in reason for reason in health.reasons)
