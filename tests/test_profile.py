"""Machine facts: containers' limits are believed, nothing heavy is loaded, missing tools are no error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sonneteer import profile


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(profile, "CGROUP", tmp_path)
    return tmp_path


def test_a_containers_share_of_the_cores_counts(cgroup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert profile.cores() == 8
    (cgroup / "cpu.max").write_text("max 100000\n")
    assert profile.cores() == 8
    (cgroup / "cpu.max").write_text("300000 100000\n")
    assert profile.cores() == 3
    (cgroup / "cpu.max").write_text("10000 100000\n")
    assert profile.cores() == 1


def test_a_containers_limit_of_memory_counts(cgroup: Path) -> None:
    whole = psutil.virtual_memory().total / 1e9
    assert profile.memory_gb() == whole
    (cgroup / "memory.max").write_text("max\n")
    assert profile.memory_gb() == whole
    (cgroup / "memory.max").write_text("500000000\n")
    assert profile.memory_gb() == 0.5
    assert profile.free_memory_gb() <= 0.5


@pytest.mark.parametrize(
    ("text", "has_units"),
    [
        ("model name\t: Xeon\nflags\t\t: fpu avx512f avx512_bf16\n", True),
        ("model name\t: EPYC\nflags\t\t: fpu avx2\n", False),
        ("Features\t: fp asimd bf16\n", True),
        ("", False),
    ],
)
def test_bfloat16_units_are_read_from_the_processors_flags(
    text: str, has_units: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(profile, "CPUINFO", tmp_path / "cpuinfo")
    assert profile.has_bfloat16_units() is has_units


def test_the_processor_has_a_name_also_where_there_is_no_cpuinfo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile, "CPUINFO", tmp_path / "none")
    assert profile.processor()


def answer_of_the_driver(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, said, "")

    monkeypatch.setattr("subprocess.run", run)


def test_graphics_cards_are_those_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_of_the_driver(monkeypatch, "NVIDIA H100, 80GB HBM3, 81559\nTesla T4, 15360\n")
    cards = profile.graphics_cards()
    assert [card.name for card in cards] == ["NVIDIA H100, 80GB HBM3", "Tesla T4"]
    assert cards[1].memory_gb == 15360 * 2**20 / 1e9


def test_no_driver_means_no_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr("subprocess.run", missing)
    assert profile.graphics_cards() == []


@pytest.mark.parametrize(("torch", "device"), [("2.13.0+cu130", "Tesla T4"), ("2.13.0+cpu", "cpu"), (None, "cpu")])
def test_a_card_that_pytorch_cannot_use_is_not_the_device(
    torch: str | None, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_of_the_driver(monkeypatch, "Tesla T4, 15360\n")
    monkeypatch.setattr(profile, "version", lambda name: torch if name == "torch" else "1.0")
    assert profile.machine().device == device


def test_the_machine_is_known_without_loading_the_libraries_that_it_names() -> None:
    code = (
        "import sys; from sonneteer.profile import machine; record = machine(); "
        "assert record.software['torch'] and record.cores >= 1 and record.memory_gb > 0; "
        "print(*(name for name in ('torch', 'transformers', 'peft', 'numpy') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_package_that_is_not_installed_has_no_version() -> None:
    assert profile.version("no-such-package-of-ours") is None
    assert "no-such-package-of-ours" not in profile.versions(["no-such-package-of-ours", "pydantic"])


def test_the_disk_of_a_folder_that_is_not_there_yet_is_that_of_its_parent(tmp_path: Path) -> None:
    assert profile.free_disk_gb(tmp_path / "a" / "b") > 0


def test_memory_that_was_held_once_stays_in_the_peak() -> None:
    before = profile.peak_memory_gb()
    held = bytearray(64_000_000)
    held[::4096] = b"x" * len(held[::4096])
    grown = profile.peak_memory_gb()
    del held
    assert before <= grown
    assert profile.peak_memory_gb() >= grown
    assert 0.01 < grown < 1000
