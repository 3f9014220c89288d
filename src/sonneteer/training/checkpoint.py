"""Everything a run needs to go on after any interruption: written whole or not at all, checked when read, no pickle.

A checkpoint is a folder `step-00000120` with the tensors (trained weights, optimizer states, random states) and the
best weights so far as safetensors, and as JSON the counters, the origin (settings, base and examples) and the checksums
of the tensors. It is written under another name, flushed to the disk and renamed, so a folder with this name is whole.
The newest two are kept: should the disk damage one, the one before it is still there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch.optim import Optimizer

from sonneteer.errors import MachineError, RecipeError
from sonneteer.models.load import disk_errors
from sonneteer.records import Interval, Record

Tensors = dict[str, torch.Tensor]
Origin = Mapping[str, Any]
"""All that decides how a run goes, by name: its settings, and the fingerprints of its base and its examples."""

STATE, BEST = "state.safetensors", "best.safetensors"
KEPT = 2


class Counters(Record):
    """How far a run has come."""

    step: int = 0
    first_loss: float | None = None
    best_loss: float | None = None
    best_step: int | None = None
    train_loss: float | None = None
    """Of the best weights, on as many learned examples as watched the training; known at the end."""
    gap: Interval | None = None
    """By how much they lose more on those that watched."""
    candidates: tuple[tuple[int, float], ...] = ()
    """Steps whose weights may be averaged in the end, with their validation losses."""
    averaged_steps: tuple[int, ...] = ()
    """Steps whose weights' mean was kept; empty where one step was better, or nothing is averaged."""
    stale_validations: int = 0
    """Validations since the best one."""
    tokens: int = 0
    unique_tokens: int = 0
    learned_tokens: int = 0
    seconds: float = 0.0


class Checkpoint(NamedTuple):
    """What was read back."""

    counters: Counters
    tensors: Tensors
    origin: Origin
    folder: Path

    @property
    def best_file(self) -> Path | None:
        """The best weights up to here, if there was a validation."""
        path = self.folder / BEST
        return path if path.exists() else None


def write_checkpoint(
    folder: Path, counters: Counters, tensors: Tensors, origin: Origin, best_file: Path | None = None
) -> None:
    """Write a checkpoint below `folder` and remove all but the newest two. Raises MachineError on a full disk."""
    target = folder / f"step-{counters.step:08d}"
    partial = folder / f"{target.name}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_tensors(partial / STATE, tensors)
        if best_file is not None:
            link_or_copy(best_file, partial / BEST)
        checksums = {path.name: _checksum(path) for path in sorted(partial.iterdir())}
        state = {"sha256": checksums, "counters": counters.model_dump(mode="json"), "origin": dict(origin)}
        _write_flushed(partial / "state.json", json.dumps(state, indent=1).encode())
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        _flush(folder)
    except OSError as problem:
        shutil.rmtree(partial, ignore_errors=True)
        raise MachineError(
            f"The checkpoint of step {counters.step} could not be written to {folder}: {problem.strerror or problem}. "
            "The one before it is whole: free some space and give the same command to go on from there."
        ) from problem
    _forget_all_but_newest(folder, target)


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint, or None. A damaged one is passed over."""
    for candidate in reversed(_whole(folder)):
        try:
            state = json.loads((candidate / "state.json").read_text())
            if all(_checksum(candidate / name) == wanted for name, wanted in state["sha256"].items()):
                tensors = load_file(candidate / STATE)
                return Checkpoint(Counters(**state["counters"]), tensors, state["origin"], candidate)
        except (OSError, ValueError, KeyError, AttributeError):
            continue
    return None


def refuse_other_origin(found: Checkpoint, origin: Origin) -> None:
    """Raises RecipeError, which shows every difference, where a checkpoint is not of this run."""
    names = sorted({*found.origin, *origin})
    differing = [name for name in names if found.origin.get(name) != origin.get(name)]
    if differing:
        lines = [f"  {name}: {found.origin.get(name)!r} there, {origin.get(name)!r} here" for name in differing]
        raise RecipeError(
            f"The checkpoint in {found.folder} is of another training, and going on with it would mix the two:\n"
            + "\n".join(lines)
            + "\nPut the recipe, the data or the base model back as they were; or, to train anew, remove "
            f"{found.folder.parent}."
        )


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under a second name, without a second copy where the disk can do that. Replaces `target`."""
    partial = target.with_suffix(".link")  # never a name that something is written to: that would change both
    partial.unlink(missing_ok=True)
    try:
        partial.hardlink_to(source)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, partial)
        _flush(partial)
    partial.rename(target)


def save_tensors(path: Path, tensors: Tensors) -> None:
    """Write a safetensors file under a temporary name, flush it to the disk, rename it."""
    partial = path.with_suffix(".partial")
    with disk_errors():
        save_file({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}, partial)
    _flush(partial)
    partial.rename(path)


def optimizer_tensors(optimizers: list[Optimizer]) -> Tensors:
    """The states of all optimizers, named `optimizer.<which>.<parameter>.<name>`."""
    return {
        f"optimizer.{which}.{index}.{name}": torch.as_tensor(value)
        for which, optimizer in enumerate(optimizers)
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def restore_optimizers(optimizers: list[Optimizer], tensors: Tensors) -> None:
    """Put the states of `optimizer_tensors` back."""
    states: list[dict[int, dict[str, Any]]] = [{} for _ in optimizers]
    for key, tensor in tensors.items():
        if key.startswith("optimizer."):
            _, which, index, name = key.split(".", 3)
            states[int(which)].setdefault(int(index), {})[name] = tensor
    for optimizer, state in zip(optimizers, states, strict=True):
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def random_tensors() -> Tensors:
    """The states of the random generators that training draws from."""
    states = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["random.cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random(tensors: Tensors) -> None:
    """Put the states of `random_tensors` back."""
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])


def _whole(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if path.suffix != ".partial")


def _forget_all_but_newest(folder: Path, newest: Path) -> None:
    """What is named later than the newest is damaged: it was passed over, and done again."""
    known = _whole(folder)
    kept = [path for path in known if path <= newest][-KEPT:]
    for other in known:
        if other not in kept:
            shutil.rmtree(other, ignore_errors=True)


def _checksum(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_flushed(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    _flush(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
