"""A checkpoint is whole or not there, and a damaged one is passed over."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sonneteer.errors import MachineError
from sonneteer.training import checkpoint
from sonneteer.training.checkpoint import Counters, read_checkpoint, write_checkpoint


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(5.0), "random.cpu": torch.get_rng_state()}
    write_checkpoint(tmp_path, Counters(step=3, best_loss=0.5), tensors)
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert found.counters == Counters(step=3, best_loss=0.5)
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in tensors.items())


def test_only_the_newest_is_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, Counters(step=step), {"a": torch.zeros(1)})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]


@pytest.mark.parametrize("damage", ["torn", "flipped", "no json"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, damage: str) -> None:
    write_checkpoint(tmp_path, Counters(step=1), {"a": torch.zeros(9)})
    older = tmp_path / "step-00000001"
    older.rename(tmp_path / "kept")
    write_checkpoint(tmp_path, Counters(step=2), {"a": torch.ones(9)})
    (tmp_path / "kept").rename(older)
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
    write_checkpoint(tmp_path, Counters(step=1), {"a": torch.zeros(1)})
    with pytest.raises(MachineError, match=r"File too large.*same command"):
        write_checkpoint(tmp_path, Counters(step=2), {"a": torch.zeros(100_000)})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


@pytest.mark.usefixtures("files_stay_small")
def test_a_full_disk_reaches_the_user_under_its_number_and_not_as_a_mistake_of_ours(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File too large") as refused:
        checkpoint.save_tensors(tmp_path / "best.safetensors", {"a": torch.zeros(100_000)})
    assert refused.value.errno == errno.EFBIG


def test_an_empty_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / "nowhere") is None
