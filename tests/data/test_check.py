"""The proof on frozen files finds real leaks, tampering, and nothing where there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from sonneteer.data import changes, check, prepare, read_ledger
from sonneteer.errors import DataError, RecipeError
from sonneteer.recipe.sections import CleanSettings, Recipe, SourceSettings
from sonneteer.store import Store
from tests.data.writing import WordReader, question, recipe_of, write_lines

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "customer_service"


def official(name: str, leaks: str) -> Recipe:
    """A set of labelled questions with its official sides."""
    fields = {"prompt": "text", "completion": "label"}
    sides = {"train": "train.jsonl.gz", "test": "test.jsonl"}
    sources = [
        SourceSettings.model_validate({"path": f"{name}/{file}", "split": side, "fields": fields})
        for side, file in sides.items()
    ]
    clean = CleanSettings(near_duplicates="off", wrong_labels="off")
    return recipe_of(*sources, leaks=leaks, clean=clean, validation_share=0)


@pytest.mark.parametrize(("name", "shared"), [("banking77", 25), pytest.param("clinc150", 19, marks=pytest.mark.slow)])
def test_the_known_leaks_of_official_splits_are_found_and_then_left_out(tmp_path: Path, name: str, shared: int) -> None:
    if not (SHARED / name).exists():
        pytest.skip(f"{name} is not beside the checkout")
    store = Store(tmp_path / "workspace")
    kept = official(name, "keep")
    proof = check(store, prepare(kept, SHARED, store, WordReader()), kept.data)
    questions = {leak.between: leak.values for leak in proof.leaks if leak.kind == "question"}
    assert questions == {"train, test": shared}
    left_out = official(name, "drop")
    dataset = prepare(left_out, SHARED, store, WordReader())
    assert "question" not in {leak.kind for leak in check(store, dataset, left_out.data).leaks}
    leaks = [entry for entry in read_ledger(store, dataset) if entry.reason.startswith("leak: the same question as")]
    assert len(leaks) >= shared


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "workspace")


def test_a_prepared_split_is_proven(tmp_path: Path, store: Store) -> None:
    rows = [{"prompt": f"question {i // 2} of person", "completion": f"a{i}", "person": str(i % 7)} for i in range(40)]
    write_lines(tmp_path / "x.jsonl", [*rows, *({"prompt": f"other {i}", "completion": "b"} for i in range(9))])
    recipe = recipe_of("x.jsonl")
    proof = check(store, prepare(recipe, tmp_path, store, WordReader()), recipe.data)
    assert proof == (49, [], [])
    assert proof.is_clean


def test_what_the_preparation_did_not_keep_together_is_found(tmp_path: Path, store: Store) -> None:
    write_lines(tmp_path / "x.jsonl", [question(i, person=str(i % 2)) for i in range(40)])
    recipe = recipe_of("x.jsonl", keep_together=())
    dataset = prepare(recipe, tmp_path, store, WordReader())
    proof = check(store, dataset, recipe_of("x.jsonl").data)
    assert {(leak.kind, leak.between, leak.values) for leak in proof.leaks} >= {("person", "train, test", 2)}
    assert all("x.jsonl:" in place for leak in proof.leaks for place in leak.places)


def test_both_rows_of_an_example_on_two_sides_are_named(tmp_path: Path, store: Store) -> None:
    for side in ("train", "test"):
        write_lines(tmp_path / f"{side}.jsonl", [question(0)])
    sources = [SourceSettings.model_validate({"path": f"{side}.jsonl", "split": side}) for side in ("train", "test")]
    recipe = recipe_of(*sources, leaks="keep", validation_share=0)
    proof = check(store, prepare(recipe, tmp_path, store, WordReader()), recipe.data)
    assert {place for leak in proof.leaks for place in leak.places} == {"train.jsonl:1 = test.jsonl:1"}


def test_a_changed_file_is_found(tmp_path: Path, store: Store) -> None:
    write_lines(tmp_path / "x.jsonl", [question(i) for i in range(40)])
    recipe = recipe_of("x.jsonl")
    dataset = prepare(recipe, tmp_path, store, WordReader())
    ledger = store.path(dataset.ledger_file)
    ledger.write_bytes(ledger.read_bytes().replace(b'"fate": "test"', b'"fate": "train"', 1))
    problems = " ".join(check(store, dataset, recipe.data).problems)
    assert "is not what was frozen" in problems
    assert "do not add up" in problems
    assert "other examples than the ledger says" in problems


def test_a_fate_that_is_met_too_often_fails_the_preparation(tmp_path: Path, store: Store) -> None:
    write_lines(tmp_path / "x.jsonl", [question(i % 18) for i in range(20)])
    prepare(recipe_of("x.jsonl", fail_above={"duplicate": 0.1}), tmp_path, store, WordReader())
    with pytest.raises(DataError, match=r"2 of 20 rows are 'duplicate' \(10\.0%\), .* such as x\.jsonl:19"):
        prepare(recipe_of("x.jsonl", fail_above={"duplicate": 0.05}), tmp_path, store, WordReader())
    with pytest.raises(RecipeError, match=r"fail_above\.duplicates: no such fate\. Did you mean 'duplicate'"):
        prepare(recipe_of("x.jsonl", fail_above={"duplicates": 0.1}), tmp_path, store, WordReader())


def test_what_changed_between_two_data_sets_is_told(tmp_path: Path, store: Store) -> None:
    write_lines(tmp_path / "x.jsonl", [question(i, topic="a") for i in range(40)])
    first = prepare(recipe_of("x.jsonl"), tmp_path, store, WordReader())
    assert changes(store, first, first) == []
    write_lines(tmp_path / "x.jsonl", [*(question(i, topic="a") for i in range(1, 40)), question(99, topic="b")])
    second = prepare(recipe_of("x.jsonl"), tmp_path, store, WordReader())
    told = {change.what: (change.before, change.after) for change in changes(store, first, second)}
    assert told["topic: a"] == ("40", "39")
    assert told["topic: b"] == ("0", "1")
    assert told["source x.jsonl"][0].startswith("40 rows, ")
    came = [what for what in told if "came to" in what]
    left = [what for what in told if " left " in what]
    assert len(came) == len(left) == 1
