"""Trackers are told what the metrics file is told; their libraries load only when the recipe names them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sonneteer.errors import ExtraError
from sonneteer.recipe.sections import TrainingSettings
from sonneteer.training.trackers import TRACKERS, tracked
from sonneteer.training.watch import MetricsFile, read_metrics


def follow(folder: Path, name: str, first_step: int, steps: range) -> None:
    """A run that tells its loss to a tracker."""
    settings = TrainingSettings(trackers=(name,))  # type: ignore[arg-type]
    with tracked(MetricsFile(folder / "metrics.jsonl", first_step), settings, folder, first_step) as trackers:
        for step in steps:
            trackers.write(step, {"loss": 1 / step})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder in a workspace."""
    place = tmp_path / "runs" / "demo-1"
    place.mkdir(parents=True)
    return place


def test_tensorboard_reads_every_step_once_also_of_a_run_that_was_interrupted(folder: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    follow(folder, "tensorboard", 0, range(1, 5))
    follow(folder, "tensorboard", 2, range(3, 7))  # the steps 3 and 4 are done again
    read = events.EventAccumulator(str(folder.parents[1] / "tensorboard" / "demo-1"))
    read.Reload()
    assert [(event.step, round(event.value, 6)) for event in read.Scalars("loss")] == [
        (step, round(1 / step, 6)) for step in range(1, 7)
    ]
    assert [line["step"] for line in read_metrics(folder / "metrics.jsonl")] == list(range(1, 7))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_goes_on_with_the_same_run(folder: Path) -> None:
    tracking = pytest.importorskip("mlflow.tracking")
    follow(folder, "mlflow", 0, range(1, 4))
    follow(folder, "mlflow", 3, range(4, 6))
    client = tracking.MlflowClient(f"sqlite:///{folder.parents[1] / 'mlflow.sqlite'}")
    (run,) = client.search_runs([client.get_experiment_by_name("sonneteer").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["learning_rate"] == "0.0002"
    assert {metric.step for metric in client.get_metric_history(run.info.run_id, "loss")} == set(range(1, 6))


WANDB = """
import sys
from pathlib import Path
from tests.training.test_trackers import follow
follow(Path(sys.argv[1]), "wandb", 0, range(1, 4))
"""


@pytest.mark.slow
def test_wandb_leaves_its_files_in_the_runs_folder_and_sends_nothing(folder: Path) -> None:
    pytest.importorskip("wandb")
    subprocess.run([sys.executable, "-W", "ignore", "-c", WANDB, str(folder)], check=True, timeout=120)
    assert list(folder.glob("wandb/offline-run-*/*.wandb"))


@pytest.mark.parametrize("name", TRACKERS)
def test_a_library_that_is_not_there_is_named_with_the_way_to_install_it(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("torch.utils.tensorboard", "mlflow.tracking", "wandb"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ExtraError, match=rf"training\.trackers: '{name}'.*pip install 'sonneteer\[{name}\]'"):
        follow(folder, name, 0, range(1, 2))
