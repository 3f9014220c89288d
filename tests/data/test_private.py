"""The preparation takes personal data out, and the ledger says how much without saying what."""

from __future__ import annotations

from pathlib import Path

import pytest

from sonneteer.data import prepare, read_ledger, read_split
from sonneteer.errors import DataError, RecipeError
from sonneteer.recipe.sections import PrivacySettings
from sonneteer.records import KEPT, DatasetVersion
from sonneteer.store import Store
from tests.data.writing import WordReader, question, recipe_of, write_lines

EMAIL = "jane.roe@example.org"


def prepared(folder: Path, **settings: str) -> tuple[DatasetVersion, Store]:
    rows = [question(number) for number in range(20)]
    rows[4] = {"prompt": f"I am {EMAIL}", "completion": "Hello."}
    write_lines(folder / "x.jsonl", rows)
    store = Store(folder / "workspace")
    recipe = recipe_of("x.jsonl").model_copy(update={"privacy": PrivacySettings.model_validate(settings)})
    return prepare(recipe, folder, store, WordReader()), store


def test_a_country_that_there_is_not_is_refused(tmp_path: Path) -> None:
    recipe = recipe_of("x.jsonl").model_copy(update={"privacy": PrivacySettings(countries=("GB", "XX"))})
    write_lines(tmp_path / "x.jsonl", [question(i) for i in range(9)])
    with pytest.raises(RecipeError, match="XX is no country's code"):
        prepare(recipe, tmp_path, Store(tmp_path / "workspace"), WordReader())


def test_the_ledger_tells_types_and_counts_and_no_file_of_the_workspace_holds_the_value(tmp_path: Path) -> None:
    dataset, store = prepared(tmp_path)
    entry = read_ledger(store, dataset)[4]
    assert (entry.fate in KEPT, entry.remarks) == (True, ("redacted: 1 emails",))
    assert (dataset.redacted, dataset.redacted_rows) == ({"emails": 1}, 1)
    texts = [message.text for side in KEPT for one in read_split(store, dataset, side) for message in one.messages]
    assert "I am [EMAIL]" in texts
    assert not any(EMAIL.encode() in path.read_bytes() for path in store.root.rglob("*") if path.is_file())


def test_rows_are_dropped_where_the_recipe_says_so(tmp_path: Path) -> None:
    dataset, store = prepared(tmp_path, emails="drop")
    assert read_ledger(store, dataset)[4].fate == "private"
    assert dataset.totals["private"] == 1


def test_the_preparation_fails_where_the_recipe_says_so_and_names_the_row_and_not_the_value(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.jsonl:5: emails") as caught:
        prepared(tmp_path, emails="fail")
    assert EMAIL not in str(caught.value)


def test_another_privacy_is_another_preparation(tmp_path: Path) -> None:
    assert prepared(tmp_path)[0].prepared_from != prepared(tmp_path, emails="keep")[0].prepared_from
