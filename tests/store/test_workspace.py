"""Files named by their content, and records in the catalogue."""

from __future__ import annotations

import errno
import hashlib
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from sonneteer.errors import MachineError, MissingError
from sonneteer.records import DatasetVersion, Machine, ModelVersion, Report, Run
from sonneteer.store import Store

from ..made import NOON, version


def run_record(id: str, name: str = "support", started_at: datetime = NOON) -> Run:
    return Run(
        id=id,
        name=name,
        status="running",
        recipe={"seed": 0},
        dataset_id="d",
        base="couplet",
        base_fingerprint="b",
        machine=Machine(processor="p", cores=2, memory_gb=8),
        started_at=started_at,
    )


def dataset_record(id: str) -> DatasetVersion:
    return DatasetVersion(
        id=id, name="n", created_at=NOON, prepared_from="p", splits={}, sources=(), totals={"train": 3}, ledger_file="l"
    )


def model_record(number: int) -> ModelVersion:
    return version("support", number, created_at=NOON + timedelta(seconds=number))


def report_record(id: str, run_id: str) -> Report:
    return Report(
        id=id,
        run_id=run_id,
        dataset_id="d",
        created_at=NOON,
        confidence=0.95,
        comparisons=(),
        verdict="cannot tell",
        reasons=("few examples",),
        side_by_side=(),
        answers_file="a",
        seconds=1.0,
        test_openings=1,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "workspace")


def test_a_kept_file_is_named_by_its_content(store: Store) -> None:
    name = store.put(b"words", "txt")
    assert name == hashlib.sha256(b"words").hexdigest() + ".txt"
    assert store.path(name).read_bytes() == b"words"


def test_the_same_content_twice_is_one_file(store: Store) -> None:
    assert store.put(b"words", "txt") == store.put(b"words", "txt")
    assert len([path for path in (store.root / "files").rglob("*") if path.is_file()]) == 1


def test_a_missing_file_is_said_to_be_missing(store: Store) -> None:
    with pytest.raises(MissingError, match="restore"):
        store.path("0" * 64 + ".parquet")


def test_a_full_disk_is_said_in_words_and_leaves_no_half_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match=r"workspace.* is full\. Free some space"):
        store.put(b"words", "txt")
    assert [path for path in (store.root / "files").rglob("*") if path.is_file()] == []


def test_a_workspace_below_a_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(MachineError, match="stands in the way"):
        Store(tmp_path / "taken" / "workspace")


def test_a_workspace_opens_under_any_name(tmp_path: Path) -> None:
    store = Store(tmp_path / "100% näher dran?")
    store.save(run_record("r"))
    assert Store(store.root).get(Run, "r") == run_record("r")


def test_a_record_comes_back_as_it_was_saved(store: Store) -> None:
    for record in (run_record("r"), dataset_record("d"), model_record(1), report_record("e", "r")):
        store.save(record)
    opened_again = Store(store.root)
    assert opened_again.get(Run, "r") == run_record("r")
    assert opened_again.get(DatasetVersion, "d") == dataset_record("d")
    assert opened_again.get(ModelVersion, "support-1") == model_record(1)
    assert opened_again.get(Report, "e") == report_record("e", "r")


def test_saving_again_replaces_the_record(store: Store) -> None:
    store.save(run_record("r"))
    store.save(run_record("r").model_copy(update={"status": "done", "best_validation_loss": float("inf")}))
    assert [(run.status, run.best_validation_loss) for run in store.find(Run)] == [("done", float("inf"))]


def test_find_gives_the_newest_first_whatever_the_time_zone_and_fraction(store: Store) -> None:
    east = timezone(timedelta(hours=9))
    times = [NOON, NOON + timedelta(microseconds=1), (NOON + timedelta(minutes=1)).astimezone(east)]
    for number in (1, 2, 0):
        store.save(run_record(f"r{number}", started_at=times[number]))
    assert [run.id for run in store.find(Run)] == ["r2", "r1", "r0"]


def test_find_compares_all_columns(store: Store) -> None:
    store.save(run_record("a", name="support"))
    store.save(run_record("b", name="legal"))
    store.save(run_record("c", name="legal").model_copy(update={"status": "done"}))
    assert [run.id for run in store.find(Run, name="legal", status="done")] == ["c"]
    assert store.find(Run, name="legal", dataset_id="another") == []


def test_the_latest_of_a_name_is_the_newest_or_none(store: Store) -> None:
    assert store.latest(ModelVersion, "support") is None
    for number in (9, 10):
        store.save(model_record(number))
    assert store.latest(ModelVersion, "support") == model_record(10)


def test_a_report_is_found_by_the_name_of_its_run(store: Store) -> None:
    store.save(run_record("r", name="legal"))
    store.save(report_record("e", "r"))
    assert store.latest(Report, "legal") == report_record("e", "r")


def test_a_missing_record_names_what_comes_near(store: Store) -> None:
    with pytest.raises(MissingError, match="none yet"):
        store.get(Run, "support-1")
    store.save(run_record("support-1"))
    store.save(run_record("zzz"))
    with pytest.raises(MissingError, match=r"'suport-1' among the runs .* It has: support-1\.$"):
        store.get(Run, "suport-1")


def test_openings_of_the_test_split_are_counted_by_data_set(store: Store) -> None:
    assert [store.open_test_split("d") for _ in range(3)] == [1, 2, 3]
    assert Store(store.root).open_test_split("e") == 1
    assert Store(store.root).open_test_split("d") == 4


def test_an_example_that_another_data_set_held_was_seen_there_too(store: Store) -> None:
    many = [f"example {number}" for number in range(1200)]
    assert store.open_test_split("d", many) == 1
    assert store.test_openings("e", many[-1:]) == 1
    assert store.open_test_split("e", [*many[-1:], "new"]) == 2
    assert store.open_test_split("f", ["new", "newer"]) == 2
    assert store.open_test_split("g", ["newest"]) == 1
