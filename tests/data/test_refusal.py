"""What became of rows that the recipe refuses is kept, told again, and never taken for a data set."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sonneteer import preparation
from sonneteer.data import RefusedError, forget, prepare
from sonneteer.data.ways import Way
from sonneteer.progress import Silent
from sonneteer.recipe import LoadedRecipe
from sonneteer.records import DatasetVersion
from sonneteer.store import Store
from tests.data.writing import WordReader, question, recipe_of, write_lines


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "workspace")


def refused(folder: Path, store: Store, rows: list[Any], **settings: Any) -> RefusedError:
    write_lines(folder / "x.jsonl", rows)
    with pytest.raises(RefusedError) as caught:
        prepare(recipe_of("x.jsonl", **settings), folder, store, WordReader())
    return caught.value


def test_rows_above_a_limit_have_all_their_fates_and_nothing_is_frozen(tmp_path: Path, store: Store) -> None:
    problem = refused(tmp_path, store, [question(i % 18) for i in range(20)], fail_above={"duplicate": 0.05})
    fates = Counter(entry.fate for entry in problem.entries)
    assert fates["duplicate"] == 2
    assert fates.total() == 20
    assert store.find(DatasetVersion) == []


def test_the_same_rows_are_refused_again_without_being_read(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [*(question(i) for i in range(9)), "torn", "torn, too"]
    first = refused(tmp_path, store, rows)
    assert [(entry.row, entry.fate) for entry in first.entries] == [(10, "broken"), (11, "broken")]
    monkeypatch.setattr(Way, "walk", lambda *_: pytest.fail("was read"))
    again = refused(tmp_path, store, rows)
    assert (str(again), again.entries) == (str(first), first.entries)


def test_repaired_rows_and_other_limits_are_looked_at_anew(tmp_path: Path, store: Store) -> None:
    rows = [question(i % 18) for i in range(20)]
    refused(tmp_path, store, rows, fail_above={"duplicate": 0.05})
    assert prepare(recipe_of("x.jsonl", fail_above={"duplicate": 0.1}), tmp_path, store, WordReader()).rows == 20
    refused(tmp_path, store, rows, fail_above={"duplicate": 0.05})
    write_lines(tmp_path / "x.jsonl", rows[:18])
    assert prepare(recipe_of("x.jsonl", fail_above={"duplicate": 0.05}), tmp_path, store, WordReader()).rows == 18
    assert list((store.root / "partial").rglob("*.refused")) == []


def test_nothing_of_it_stays_when_somebody_is_forgotten(tmp_path: Path, store: Store) -> None:
    refused(tmp_path, store, [question(1)] * 20, fail_above={"duplicate": 0.05})
    forget(store, "anybody")
    assert list(store.root.rglob("*.refused")) == []


def test_the_ledger_tells_of_refused_rows_and_why(tmp_path: Path, store: Store) -> None:
    write_lines(tmp_path / "x.jsonl", [question(i % 18) for i in range(20)])
    recipe = recipe_of("x.jsonl", fail_above={"duplicate": 0.05})
    account = preparation.ledger(LoadedRecipe(recipe, tmp_path, []), store, Silent())
    assert "2 of 20 rows are 'duplicate'" in account.problem
    assert len(account.entries) == 20
