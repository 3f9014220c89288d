"""A checkpoint is whole or not there, and a damaged one is passed over."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sonneteer.errors import MachineError, RecipeError
from sonneteer.training import checkpoint
from sonneteer.training.checkpoint import (
    Counters,
    link_or_copy,
    read_checkpoint,
    refuse_other_origin,
    save_tensors,
    write_checkpoint,
)

ORIGIN = {"seed": 0, "training.learning_rate": 1e-3}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(5.0), "random.cpu": torch.get_rng_state()}
    write_checkpoint(tmp_path, Counters(step=3, best_loss=0.5), tensors, ORIGIN)
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert found.counters == Counters(step=3, best_loss=0.5)
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in tensors.items())


def test_only_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, Counters(step=step), {"a": torch.zeros(1)}, ORIGIN)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]


@pytest.mark.parametrize("damage", ["torn", "flipped", "no json"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, damage: str) -> None:
    write_checkpoint(tmp_path, Counters(step=1), {"a": torch.zeros(9)}, ORIGIN)
    write_checkpoint(tmp_path, Counters(step=2), {"a": torch.ones(9)}, ORIGIN)
    state = tmp_path / "step-00000002" / "state.safetensors"
    content = state.read_bytes()
    if damage == "torn":
        state.write_bytes(content[:-4])
    elif damage == "flipped":
        state.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        (tmp_path / "step-00000002" / "state.json").write_text("{")
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert found.counters.step == 1


@pytest.fixture
def files_stay_small() -> Iterator[None]:
    """No file may grow beyond 64 kB: the nearest to a full disk that a test may make."""
    resource = pytest.importorskip("resource", reason="this system has no limits to set")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("files_stay_small")
def test_a_full_disk_is_said_in_words_and_the_checkpoint_before_stays(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, Counters(step=1), {"a": torch.zeros(1)}, ORIGIN)
    with pytest.raises(MachineError, match=r"File too large.*same command"):
        write_checkpoint(tmp_path, Counters(step=2), {"a": torch.zeros(100_000)}, ORIGIN)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


@pytest.mark.usefixtures("files_stay_small")
def test_a_full_disk_reaches_the_user_under_its_number_and_not_as_a_mistake_of_ours(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File too large") as refused:
        checkpoint.save_tensors(tmp_path / "best.safetensors", {"a": torch.zeros(100_000)})
    assert refused.value.errno == errno.EFBIG


def test_an_empty_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / "nowhere") is None


def test_the_best_weights_belong_to_the_checkpoint_and_stay_as_they_were(tmp_path: Path) -> None:
    best, checkpoints = tmp_path / "best.safetensors", tmp_path / "checkpoints"
    save_tensors(best, {"a": torch.zeros(9)})
    write_checkpoint(checkpoints, Counters(step=1), {"a": torch.zeros(9)}, ORIGIN, best)
    kept = best.read_bytes()
    save_tensors(best, {"a": torch.ones(9)})
    write_checkpoint(checkpoints, Counters(step=2), {"a": torch.ones(9)}, ORIGIN, best)
    (checkpoints / "step-00000002" / "best.safetensors").write_bytes(b"torn")
    found = read_checkpoint(checkpoints)
    assert found is not None
    assert found.best_file is not None
    assert (found.counters.step, found.best_file.read_bytes()) == (1, kept)


def test_a_damaged_checkpoint_makes_room_for_the_ones_that_come_after_the_older_one(tmp_path: Path) -> None:
    for step in (1, 3, 2):  # 3 was damaged, and the run went on from 1
        write_checkpoint(tmp_path, Counters(step=step), {"a": torch.zeros(1)}, ORIGIN)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000001", "step-00000002"]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_second_name_for_a_file_holds_the_same(
    has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not has_links:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    (tmp_path / "one").write_bytes(b"1")
    (tmp_path / "other.x").write_bytes(b"2")
    link_or_copy(tmp_path / "one", tmp_path / "other.x")
    assert (tmp_path / "other.x").read_bytes() == b"1"


def test_the_checkpoint_of_another_training_is_refused_with_every_difference(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, Counters(step=1), {"a": torch.zeros(1)}, ORIGIN)
    found = read_checkpoint(tmp_path)
    assert found is not None
    refuse_other_origin(found, dict(ORIGIN))
    with pytest.raises(RecipeError) as caught:
        refuse_other_origin(found, {"seed": 0, "training.learning_rate": 2e-3, "examples": "ab"})
    assert "training.learning_rate: 0.001 there, 0.002 here" in str(caught.value)
    assert "examples: None there, 'ab' here" in str(caught.value)
    assert "seed" not in str(caught.value)
