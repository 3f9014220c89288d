"""Promotion without a certificate needs a reason, also for a model that is the champion already."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from sonneteer import deployments
from sonneteer.cli import main
from sonneteer.promotion import crown
from sonneteer.store import Store

from .made import NOON, version

MODEL = version("tiny")


def test_without_a_reason_nothing_is_done_and_with_one_the_audit_log_shows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path)
    assert not crown(store, MODEL, None).is_done
    allowed = crown(store, MODEL, "the shop opens tomorrow")
    assert allowed.is_done
    assert allowed.refusals
    assert not crown(store, allowed.model, None).is_done, "the champion's stage is no permission"
    assert main(["audit", "show", "--workspace", str(tmp_path)]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for words in ("promote", "models/tiny-1", "the shop opens", "sonneteer"):
        assert words in shown


def test_a_process_that_is_killed_in_between_leaves_a_champion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, former = Store(tmp_path), version("tiny", stage="champion")
    store.save(former)
    monkeypatch.setattr(deployments, "retire", killed)
    with pytest.raises(KeyboardInterrupt):
        crown(store, version("tiny", 2, created_at=NOON + timedelta(1)), "the shop opens tomorrow")
    assert deployments.current(store, "tiny").champion_id == "tiny-2"


def killed(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("command", ["promote", "export"])
def test_an_empty_reason_is_none(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--allow", "  "]) == 3
    assert "Say why" in capsys.readouterr().err
