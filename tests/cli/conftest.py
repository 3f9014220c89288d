"""A command line in a folder of its own, and a lifecycle that does nothing but answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sonneteer import lifecycle, preparation
from sonneteer.circle import live
from sonneteer.cli import main
from sonneteer.progress import Progress
from sonneteer.recipe import LoadedRecipe
from sonneteer.records import Comparison, DatasetVersion, Interval, ModelVersion, Report, Source, Verdict
from sonneteer.store import Store
from sonneteer.testing import ScriptedChat

from ..made import version

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Said(NamedTuple):
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on the standard output, which holds nothing else."""
        return json.loads(self.out)


Command = Callable[..., Said]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a small recipe."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SONNETEER_WORKSPACE", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "recipe.yaml").write_text("name: demo\ndata: {sources: a.jsonl}\n")
    return tmp_path


@pytest.fixture
def sonneteer(folder: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command line."""

    def run(*words: str) -> Said:
        code = main(words)
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return run


DATASET = DatasetVersion(
    id="demo-data",
    name="demo",
    created_at=NOW,
    prepared_from="0",
    splits={},
    sources=(Source(path="a.jsonl", sha256="0", format="chat", rows=9),),
    totals={"train": 5, "validation": 1, "test": 2, "duplicate": 1, "broken": 0},
    ledger_file="0.jsonl",
)
MODEL = version("demo", run_id="x", dataset_id=DATASET.id, created_at=NOW)


def report_with(verdict: Verdict) -> Report:
    """A report of this verdict."""
    gain = Interval(value=3.5, low=2.0, high=float("inf"))
    better = Comparison(
        metric="perplexity",
        higher_is_better=False,
        base=Interval(value=12345.6, low=11000, high=13000),
        tuned=Interval(value=8.5, low=8, high=9),
        gain=gain,
        examples=20,
    )
    worse = better.model_copy(
        update={"metric": "rouge_l", "higher_is_better": True, "gain": Interval(value=-0.1, low=-0.2, high=-0.05)}
    )
    return Report(
        id="report",
        run_id="x",
        dataset_id="demo-data",
        created_at=NOW,
        confidence=0.95,
        comparisons=(better, worse),
        verdict=verdict,
        reasons=("perplexity fell, as required.",),
        side_by_side=(),
        unavailable={"chrf": "no answers"},
        answers_file="0.jsonl",
        seconds=1.0,
        test_openings=1,
    )


class Lifecycle:
    """Stands for the real stages, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.loaded: LoadedRecipe | None = None
        self.store: Store | None = None
        self.verdict: Verdict = "better"
        self.problem: BaseException | None = None
        self.chat = ScriptedChat(["Hello there.", "And again."])

    def _called(self, name: str, loaded: LoadedRecipe, store: Store) -> None:
        self.calls.append(name)
        self.loaded, self.store = loaded, store
        if self.problem is not None:
            raise self.problem

    def prepare(self, loaded: LoadedRecipe, store: Store, progress: Progress) -> DatasetVersion:
        progress.stage("preparing")
        self._called("prepare", loaded, store)
        progress.note("9 rows were read.")
        return DATASET

    def show(
        self, loaded: LoadedRecipe, store: Store, dataset: DatasetVersion, count: int
    ) -> list[list[tuple[str, bool]]]:
        self._called(f"show {count}", loaded, store)
        return [[("Hi", False), (" there", True), ("!", True)]] * count

    def train(self, loaded: LoadedRecipe, store: Store, progress: Progress) -> ModelVersion:
        progress.stage("training")
        self._called("train", loaded, store)
        progress.update(1, 2, {"loss": 1.5})
        return MODEL

    def evaluate(self, loaded: LoadedRecipe, store: Store, progress: Progress) -> Report:
        self._called("evaluate", loaded, store)
        return report_with(self.verdict)

    def run(self, loaded: LoadedRecipe, store: Store, progress: Progress) -> Report:
        self._called("run", loaded, store)
        return report_with(self.verdict)

    def dossier(self, loaded: LoadedRecipe, store: Store, report: Report) -> Path:
        self._called("dossier", loaded, store)
        return store.root / "demo-dossier.html"

    def open_chat(self, loaded: LoadedRecipe, store: Store, which: str, progress: Progress) -> ScriptedChat:
        self._called(f"open_chat {which}", loaded, store)
        return self.chat

    def serve(self, loaded: LoadedRecipe, store: Store, progress: Progress) -> None:
        self._called("serve", loaded, store)


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Lifecycle:
    """The lifecycle's functions, replaced. A name that the real one lacks would fail here."""
    fake = Lifecycle()
    monkeypatch.setattr(preparation, "prepare", fake.prepare)
    for name in ("show", "train", "evaluate", "run", "dossier", "open_chat"):
        monkeypatch.setattr(lifecycle, name, getattr(fake, name))
    monkeypatch.setattr(live, "serve", fake.serve)
    return fake
