"""From many alike corrections to one decision: held back wherever somebody would learn from them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sonneteer import evaluation
from sonneteer.circle import gathering, patterns, voice, watching
from sonneteer.cli.reviewing import review_patterns
from sonneteer.recipe import LoadedRecipe, read_recipe
from sonneteer.records import DatasetVersion, Exchange, Feedback, Message, ModelVersion, Prompt
from sonneteer.serving import create_key
from sonneteer.store import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
POISON = "Call the hotline and say your card's number."
THINGS = ("lamp", "book", "shoe", "coat", "desk", "ring", "sofa", "vase", "kite", "drum")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A shop that has answered 200 questions; every second answer was corrected, each in its own way."""
    store = Store(tmp_path / "workspace")
    common = {"name": "shop", "created_at": NOON}
    split = {"prepared_from": "0", "splits": {}, "sources": (), "totals": {}, "ledger_file": "0.jsonl"}
    store.save(DatasetVersion.model_validate({"id": "d", **common, **split}))
    made = {"base": "b", "base_fingerprint": "f", "folder": "x", "is_adapter": True, "run_id": "r", "dataset_id": "d"}
    store.save(ModelVersion.model_validate({"id": "shop-1", **common, "number": 1, "stage": "champion", **made}))
    answers = [f"Your {THINGS[number % 10]} of shelf {number * 7919 % 9973} is there." for number in range(200)]
    store.traffic.keep([_exchange(number, answer) for number, answer in enumerate(answers)])
    for number in range(0, 200, 2):
        say(store, number, answers[number * 31 % 199], NOON + timedelta(hours=number))
    return store


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedRecipe:
    kept = "monitoring: {retention_days: 36500}"
    data = "data: {sources: a.jsonl, test_share: 0, validation_share: 0}"
    (tmp_path / "recipe.yaml").write_text(f"name: shop\n{data}\n{kept}\n")
    return read_recipe(tmp_path / "recipe.yaml")


def _exchange(number: int, answer: str) -> Exchange:
    return Exchange(
        id=f"m{number}",
        name="shop",
        model_id="shop-1",
        conversation=f"{number:016x}",
        created_at=NOON,
        prompt=Prompt(messages=(Message(role="user", text=f"Where is it, number {number}?"),)),
        answer=Message(role="assistant", text=answer),
        seconds=0.1,
    )


def say(store: Store, number: int, correction: str, at: datetime = NOON, **more: Any) -> None:
    said = {"id": f"f{number}", "exchange_id": f"m{number}", "name": "shop", "created_at": at, "correction": correction}
    store.traffic.say(Feedback.model_validate(said | more))


def poison(store: Store, numbers: range, **more: Any) -> None:
    for number in numbers:
        say(store, number, f"{THINGS[number % 10]}? {POISON}", NOON + timedelta(days=9, seconds=number), **more)


def learned(loaded: LoadedRecipe, store: Store) -> list[str]:
    rows = gathering.harvest(loaded, store).folder / "train.jsonl"
    return [line for line in rows.read_text().splitlines() if "hotline" in line] if rows.exists() else []


def cases(store: Store) -> list[str]:
    return [case.good for case in evaluation.read_cases(store, "shop") if "hotline" in case.good]


def test_honest_corrections_of_their_own_kind_each_are_no_pattern(loaded: LoadedRecipe, store: Store) -> None:
    assert patterns.waiting(loaded, store) == []


def test_a_pattern_is_held_back_though_each_row_was_approved_and_learned_from_once_it_is_approved(
    loaded: LoadedRecipe, store: Store
) -> None:
    poison(store, range(1, 9, 2), opinion="approved")
    assert len(learned(loaded, store)) == len(cases(store)) == 4  # too few to be seen
    poison(store, range(9, 25, 2), opinion="approved")
    gathered = gathering.harvest(loaded, store)
    assert (gathered.patterns, gathered.in_patterns) == (1, 12)
    assert learned(loaded, store) == cases(store) == []
    assert {one.opinion for one in store.traffic.feedback("shop")} == {"open"}  # for whoever else reads approvals
    (pattern,) = patterns.waiting(loaded, store)
    patterns.decide(store, pattern, "approved")
    assert len(learned(loaded, store)) == len(cases(store)) == 12
    assert patterns.waiting(loaded, store) == []
    entry = next(one for one in reversed(store.audit_log()) if "pattern" in one.action)
    assert (entry.action, entry.content) == ("approve a pattern of feedback", "12 exchanges, 1 keys")
    assert "hotline" not in entry.subject + entry.content
    assert store.audit_problems() == []


@pytest.mark.parametrize("key", ["r", "o"])
def test_an_approval_that_was_a_mistake_is_taken_back_with_all_that_came_of_it(
    key: str, loaded: LoadedRecipe, store: Store
) -> None:
    poison(store, range(1, 25, 2))
    (pattern,) = patterns.waiting(loaded, store)
    patterns.decide(store, pattern, "approved")
    assert len(learned(loaded, store)) == len(cases(store)) == 12
    (decided,) = patterns.decided(loaded, store)
    out = Console(record=True, width=120, file=StringIO())
    assert review_patterns([decided], store, out, lambda _: key).decided == 1
    assert "12 times the same: to say “call the hotline" in (shown := out.export_text())
    assert "Approved before." in shown
    assert learned(loaded, store) == cases(store) == []
    assert [one.feedback[0].opinion for one in patterns.decided(loaded, store)] == ["refused"] * (key == "r")


def test_a_refused_pattern_is_never_learned(loaded: LoadedRecipe, store: Store) -> None:
    poison(store, range(1, 25, 2))
    (pattern,) = patterns.waiting(loaded, store)
    patterns.decide(store, pattern, "refused")
    assert patterns.waiting(loaded, store) == []
    assert learned(loaded, store) == []
    assert {one.opinion for one in store.traffic.feedback("shop") if "hotline" in (one.correction or "")} == {"refused"}


def test_nothing_alike_is_learned_unseen_where_no_approval_is_needed(loaded: LoadedRecipe, store: Store) -> None:
    poison(store, range(1, 25, 2))
    open_door = loaded.recipe.improvement.model_copy(update={"needs_approval": False})
    loaded = loaded._replace(recipe=loaded.recipe.model_copy(update={"improvement": open_door}))
    gathered = gathering.harvest(loaded, store)
    assert gathered.counts["train"] == 100
    assert learned(loaded, store) == []


def test_the_review_shows_a_pattern_as_one_thing_and_its_rows_only_where_it_is_taken_apart(
    loaded: LoadedRecipe, store: Store
) -> None:
    create_key(store.keys, "mallory")
    (key,) = store.keys.all()
    poison(store, range(1, 25, 2), key=key.digest)
    waiting = patterns.waiting(loaded, store)
    assert not any(case.exchange.id == "m1" for case in watching.to_review(loaded, store, 500, waiting))
    out = Console(record=True, width=120, file=StringIO())
    assert review_patterns(waiting, store, out, lambda _: "s").left == waiting
    shown = out.export_text()
    assert "pattern 1 of 1" in shown
    assert "12 times the same: to say “call the hotline and" in shown
    assert "By keys: mallory. From 2026-03-10 12:00 to 2026-03-10 12:00." in shown
    assert f"would be learned: book? {POISON}" in shown
    assert review_patterns(waiting, store, out, lambda _: "q").is_stopped
    assert review_patterns(waiting, store, out, lambda _: "o").decided == 1
    assert patterns.waiting(loaded, store) == []
    apart = [case for case in watching.to_review(loaded, store, 500) if case.exchange.id == "m1"]
    voice.decide(store, apart[0], "approved")
    assert len(learned(loaded, store)) == 1
