"""Everything a run needs to go on after any interruption: written whole or not at all, checked when read, no pickle.

A checkpoint is a folder `step-00000120` with the tensors (trained weights, optimizer states, random states) as
safetensors and the counters as JSON, which holds the tensors' checksum. It is written under another name, flushed
to the disk and renamed, so a folder with this name is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch.optim import Optimizer

from sonneteer.errors import MachineError
from sonneteer.models.load import disk_errors
from sonneteer.records import Record

Tensors = dict[str, torch.Tensor]


class Counters(Record):
    """How far a run has come."""

    step: int = 0
    first_loss: float | None = None
    best_loss: float | None = None
    best_step: int | None = None
    train_loss: float | None = None
    """Of the best weights, on as many learned examples as watched the training; known at the end."""
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


def write_checkpoint(folder: Path, counters: Counters, tensors: Tensors) -> None:
    """Write a checkpoint below `folder` and remove the older ones. Raises MachineError when the disk is full."""
    target = folder / f"step-{counters.step:08d}"
    partial = folder / f"{target.name}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_tensors(partial / "state.safetensors", tensors)
        state = {"sha256": _checksum(partial / "state.safetensors"), "counters": counters.model_dump(mode="json")}
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
    for older in _whole(folder):
        if older != target:
            shutil.rmtree(older, ignore_errors=True)


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint, or None. A damaged one is passed over."""
    for candidate in reversed(_whole(folder)):
        try:
            state = json.loads((candidate / "state.json").read_text())
            if state["sha256"] == _checksum(candidate / "state.safetensors"):
                return Checkpoint(Counters(**state["counters"]), load_file(candidate / "state.safetensors"))
        except (OSError, ValueError, KeyError):
            continue
    return None


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
