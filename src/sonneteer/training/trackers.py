"""Hand a run's figures on to TensorBoard, MLflow or W&B: all of it as files on this machine, sent nowhere.

The metrics file is always written. A tracker is anything with `write` and `close`; each library loads only if the
recipe names it. After an interruption the same tracker run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from sonneteer.errors import ExtraError
from sonneteer.recipe.sections import WITHOUT_EFFECT, TrainingSettings


class Tracker(Protocol):
    """Who wants to know a run's figures."""

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """The figures of a step."""
        ...


class Watched(NamedTuple):
    """The run that a tracker is opened for."""

    folder: Path
    """The run's own, which is named by the run."""
    settings: dict[str, Any]
    first_step: int
    """The step that it goes on from; what was told of later ones will be told again."""


class Several(NamedTuple):
    """Trackers that are all told the same."""

    trackers: list[Tracker]

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """The figures of a step."""
        for tracker in self.trackers:
            tracker.write(step, figures)


class _Told(NamedTuple):
    """A tracker that is one function."""

    write: Callable[[int, Mapping[str, float]], None]


@contextmanager
def tracked(always: Tracker, settings: TrainingSettings, folder: Path, first_step: int) -> Iterator[Several]:
    """The metrics file and the trackers that the recipe names, closed in the end.

    Raises ExtraError where a library is not installed.
    """
    watched = Watched(folder, settings.model_dump(mode="json", exclude=WITHOUT_EFFECT), first_step)
    with ExitStack() as closing:
        named = [_open(name, watched, closing) for name in settings.trackers]
        yield Several([always, *named])


def _open(name: str, watched: Watched, closing: ExitStack) -> Tracker:
    try:
        return TRACKERS[name](watched, closing)
    except ImportError as problem:
        raise ExtraError(
            f"training.trackers: '{name}' needs a package that is not installed ({problem}). "
            f"Install it with: pip install 'sonneteer[{name}]'"
        ) from problem


def _tensorboard(watched: Watched, closing: ExitStack) -> Tracker:
    """Event files in the workspace's folder `tensorboard`: `tensorboard --logdir workspace/tensorboard`."""
    from torch.utils.tensorboard import SummaryWriter

    place = _workspace(watched) / "tensorboard" / watched.folder.name
    writer = SummaryWriter(str(place), purge_step=watched.first_step + 1)
    closing.callback(writer.close)

    def write(step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, step)

    return _Told(write)


def _mlflow(watched: Watched, closing: ExitStack) -> Tracker:
    """A database in the workspace: `mlflow ui --backend-store-uri sqlite:///workspace/mlflow.sqlite`."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{_workspace(watched) / 'mlflow.sqlite'}")
    known = client.get_experiment_by_name("sonneteer")
    experiment = known.experiment_id if known else client.create_experiment("sonneteer")
    found = client.search_runs([experiment], f"attributes.run_name = '{watched.folder.name}'")
    run = found[0] if found else client.create_run(experiment, run_name=watched.folder.name)
    if not found:
        for name, value in watched.settings.items():
            client.log_param(run.info.run_id, name, value)
    closing.callback(client.set_terminated, run.info.run_id)

    def write(step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            client.log_metric(run.info.run_id, name, value, step=step)

    return _Told(write)


def _wandb(watched: Watched, closing: ExitStack) -> Tracker:
    """Files in the run's folder, which stay there until somebody calls `wandb sync`."""
    import wandb

    quiet = wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True)
    run = wandb.init(
        mode="offline",
        project="sonneteer",
        id=watched.folder.name,
        dir=str(watched.folder),
        config=watched.settings,
        settings=quiet,
    )
    closing.callback(run.finish)
    return _Told(lambda step, figures: run.log(dict(figures), step=step))


def _workspace(watched: Watched) -> Path:
    """Runs lie in the workspace's folder `runs`."""
    return watched.folder.parents[1]


TRACKERS: dict[str, Callable[[Watched, ExitStack], Tracker]] = {
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
    "wandb": _wandb,
}
