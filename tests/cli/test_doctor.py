"""What the doctor finds, and how it says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sonneteer import profile
from sonneteer.cli.doctor import Finding, examine
from tests.cli.conftest import Command


def found(workspace: Path) -> dict[str, Finding]:
    return {finding.what: finding for finding in examine(workspace)}


def test_a_machine_that_runs_the_tests_is_able(sonneteer: Command) -> None:
    said = sonneteer("doctor")
    assert said.code == 0
    for what in ("Python", "torch", "transformers", "processor", "bfloat16", "graphics card", "memory", "disk"):
        assert what in said.out
    assert {finding["state"] for finding in sonneteer("doctor", "--json").document["findings"]} <= {"good", "mind"}


def test_a_missing_library_is_told_with_the_way_to_get_it(sonneteer: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "version", lambda name: None)
    said = sonneteer("doctor")
    assert said.code == 3
    assert "pip install torch" in " ".join(said.out.split())


@pytest.mark.parametrize(("torch", "state"), [("2.13.0+cpu", "mind"), ("2.13.0", "good")])
def test_a_card_that_cannot_be_used_is_told(
    torch: str, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile, "graphics_cards", lambda: [profile.GraphicsCard("Tesla T4", 16.1)])
    monkeypatch.setattr(profile, "version", lambda name: torch)
    card = found(tmp_path)["graphics card"]
    assert card.found == "Tesla T4 (16 GB)"
    assert card.state == state


def test_little_memory_and_little_disk_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "free_memory_gb", lambda: 0.5)
    monkeypatch.setattr(profile, "free_disk_gb", lambda folder: 0.5)
    findings = found(tmp_path)
    assert findings["memory"].state == findings["disk"].state == "mind"


def test_a_workspace_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert found(tmp_path / "file")["workspace"].state == "bad"
    assert found(tmp_path / "new" / "one")["workspace"].state == "good"


def test_optional_parts_are_those_that_the_package_declares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ["pydantic>=2", "pydantic; extra == 'here'", "not-there>=1; python_version > '3' and extra == \"away\""]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: needs)
    findings = found(tmp_path)
    assert findings["extra 'here'"].found == "installed"
    assert findings["extra 'away'"].meaning == "Optional. To have it: pip install 'sonneteer[away]'"
