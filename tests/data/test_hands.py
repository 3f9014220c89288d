"""Several processes, an interruption, or a cluster change nothing of the result."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from sonneteer.data import clean, forget, prepare, sources, ways
from sonneteer.data.hands import Hands, hands_of
from sonneteer.errors import MachineError
from sonneteer.progress import Silent
from sonneteer.recipe.sections import DataSettings, Recipe, SourceSettings
from sonneteer.records import DatasetVersion
from sonneteer.store import Store
from tests.data.writing import WordReader, question, recipe_of, write_lines


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of several parts, with rows of many fates."""
    monkeypatch.setattr(sources, "AT_ONCE", 7)
    monkeypatch.setattr(clean, "AT_ONCE", 5)
    odd = ["torn", {"prompt": "unspeakable", "completion": "no"}, {"prompt": "long", "completion": "word " * 99}]
    mail = {"prompt": "Write to ann.lee@example.org", "completion": "I did."}
    write_lines(tmp_path / "a.jsonl", [*(question(i, person=f"p{i % 9}") for i in range(40)), *odd, mail, question(3)])
    write_lines(tmp_path / "b.jsonl", [{"text": f"story {i}"} for i in range(30)])
    return tmp_path


def recipe(**settings: object) -> Recipe:
    return recipe_of("a.jsonl", "b.jsonl", bad_rows_share=0.5, max_tokens=60, **settings)


def prepared(folder: Path, workspace: str, **settings: object) -> DatasetVersion:
    return prepare(recipe(**settings), folder, Store(folder / workspace), WordReader())


def names(dataset: DatasetVersion) -> tuple[object, ...]:
    splits = {side: (split.examples, split.fingerprint) for side, split in dataset.splits.items()}
    return (dataset.id, splits, dataset.ledger_file, dataset.totals, dataset.sources, dataset.token_counts)


def test_one_process_and_three_make_the_same_data_set(folder: Path) -> None:
    alone, together = prepared(folder, "one", processes=1), prepared(folder, "three", processes=3)
    assert names(alone) == names(together)
    assert {"broken", "too_long", "duplicate"} <= set(alone.totals)
    assert alone.prepared_from == together.prepared_from


def test_results_come_in_order_whatever_takes_longest() -> None:
    assert list(Hands(3).spread(os.path.basename, (f"/x/{i}" for i in range(50)))) == [str(i) for i in range(50)]


def test_a_single_part_calls_nobody() -> None:
    assert list(Hands(4).spread(lambda part: os.getpid(), [1])) == [os.getpid()]
    assert os.getpid() not in list(Hands(2).spread(lambda part: os.getpid(), [1, 2]))


def _ends(part: int) -> int:
    os._exit(9)


def test_a_process_that_is_killed_is_told_in_words() -> None:
    with pytest.raises(MachineError, match="it goes on"):
        list(Hands(2).spread(_ends, range(4)))


def test_the_recipe_says_how_many_and_without_a_word_it_is_all_cores() -> None:
    one = (SourceSettings(path="x"),)
    assert hands_of(DataSettings(sources=one, processes=5)).processes in (1, 5)
    assert hands_of(DataSettings(sources=one)).processes <= (os.cpu_count() or 1)
    assert hands_of(DataSettings(sources=one, spread="ray")).is_ray


def test_an_interrupted_preparation_goes_on_with_what_is_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(WordReader):
        def renderer(self, examples: object) -> WordReader:
            raise MachineError("the power went out")

    store = Store(folder / "workspace")
    with pytest.raises(MachineError, match="power"):
        prepare(recipe(processes=1), folder, store, Failing())
    kept = sorted(path.name for path in (store.root / "partial").rglob("*.zst"))
    assert kept == ["0-0.zst", "0-14.zst", "0-21.zst", "0-28.zst", "0-35.zst", "0-7.zst"] + [
        f"1-{start}.zst" for start in (0, 14, 21, 7)
    ]
    next((store.root / "partial").rglob("0-7.zst")).write_bytes(b"torn")
    walked: list[int] = []
    done = ways.Way._done

    def counting(self: ways.Way, row: ways.RawRow, part: ways.Part) -> ways.Done:
        walked.append(row.number)
        return done(self, row, part)

    monkeypatch.setattr(ways.Way, "_done", counting)
    dataset = prepare(recipe(processes=1), folder, store, WordReader())
    assert sorted(walked) == [8, 9, 10, 11, 12, 13, 14, 29, 30, 43, 44, 45]  # the torn part, and the short last ones
    assert names(dataset) == names(prepared(folder, "uninterrupted"))
    assert not list((store.root / "partial").rglob("*.zst"))


def test_nothing_of_a_forgotten_person_is_kept_between(folder: Path) -> None:
    store = Store(folder / "workspace")
    (store.root / "partial" / "support").mkdir(parents=True)
    (store.root / "partial" / "support" / "0-0.zst").write_bytes(b"x")
    forget(store, "7")
    assert not (store.root / "partial").exists()


def test_who_watches_hears_how_far_it_is(folder: Path) -> None:
    seen: list[tuple[float, float]] = []

    class Watching(Silent):
        def update(self, done: float, total: float, figures: Mapping[str, float | str] = {}) -> None:
            seen.append((done, total))

    prepare(recipe(), folder, Store(folder / "workspace"), WordReader(), Watching())
    assert seen == sorted(seen)
    assert seen[-1] == (75, 75)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_two_workers_of_ray_make_the_same_data_set_and_say_nothing(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ray = pytest.importorskip("ray", reason="the library ray is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    capfd.readouterr()
    try:
        spread = prepared(folder, "ray", spread="ray")
        assert capfd.readouterr() == ("", "")
        assert names(spread) == names(prepared(folder, "here", processes=1))
    finally:
        ray.shutdown()
