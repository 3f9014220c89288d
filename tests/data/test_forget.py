"""A person's rows leave everything that was derived from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sonneteer.data import forget, prepare, read_ledger, read_split
from sonneteer.privacy import digest_of
from sonneteer.records import KEPT, DatasetVersion, ModelVersion
from sonneteer.store import Store
from tests.data.writing import WordReader, question, recipe_of, write_lines
from tests.made import version

SECRET = "Marmalade"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [question(number) | {"person": f"p{number % 10}"} for number in range(40)]
    rows += [
        {"prompt": f"{SECRET} {number}", "completion": "Yes.", "person": "gone@example.org"} for number in range(3)
    ]
    write_lines(tmp_path / "x.jsonl", rows)
    return tmp_path


def prepared(folder: Path, store: Store, name: str = "x") -> DatasetVersion:
    recipe = recipe_of("x.jsonl").model_copy(update={"name": name})
    return prepare(recipe, folder, store, WordReader())


def words_in(store: Store) -> bytes:
    return b"".join(
        "".join(message.text for one in read_split(store, dataset, side) for message in one.messages).encode()
        for dataset in store.find(DatasetVersion)
        for side in KEPT
    )


def test_all_rows_leave_and_what_learned_from_them_is_named_and_marked(folder: Path) -> None:
    store = Store(folder / "workspace")
    dataset = prepared(folder, store)
    store.save(version("m", dataset_id=dataset.id))
    assert SECRET.encode() in words_in(store)
    gone = forget(store, "gone@example.org")
    assert (gone.rows, gone.datasets, gone.models) == (3, (dataset.id,), ("m-1",))
    assert SECRET.encode() not in words_in(store)
    assert store.get(ModelVersion, "m-1").retrain_because
    thinner = store.get(DatasetVersion, dataset.id)
    assert sum(split.examples for split in thinner.splits.values()) == 40
    assert thinner.rows == 43
    counted = [sum(one.learned_token_counts.values()) for one in (dataset, thinner)]
    assert counted[0] - counted[1] == 3 * 2  # each forgotten answer was a word and its end
    assert sum(thinner.tag_counts["person"].values()) == 40
    assert thinner.totals["private"] == 3 == sum(entry.fate == "private" for entry in read_ledger(store, thinner))
    assert len(list((store.root / "files").rglob("*.parquet"))) == 3
    assert store.audit_problems() == []
    assert "gone@example.org" not in str(store.audit_log())


def test_what_is_prepared_again_is_a_new_version_without_them(folder: Path) -> None:
    store = Store(folder / "workspace")
    dataset = prepared(folder, store)
    forget(store, "gone@example.org")
    assert prepared(folder, store).id != dataset.id
    other = prepared(folder, store, "other")
    assert (other.totals["private"], sum(split.examples for split in other.splits.values())) == (3, 40)


def test_a_side_without_examples_stays_one(folder: Path) -> None:
    store = Store(folder / "workspace")
    dataset = prepare(recipe_of("x.jsonl", validation_share=0), folder, store, WordReader())
    assert dataset.splits["validation"].examples == 0
    assert forget(store, "gone@example.org").rows == 3
    assert forget(store, "p1").rows == 8  # four of the version that was, and of the one without the first
    assert all(one.splits["validation"].examples == 0 for one in store.find(DatasetVersion))


def test_a_person_who_is_nowhere_changes_nothing(folder: Path) -> None:
    store = Store(folder / "workspace")
    dataset = prepared(folder, store)
    assert forget(store, "nobody").rows == 0
    assert store.find(DatasetVersion) == [dataset]
    assert store.audit_log()[-1].subject == f"person/{digest_of('nobody', store.private_key())}"
