"""Promotion without a certificate needs a reason, also for a model that is the champion already."""

from __future__ import annotations

from pathlib import Path

import pytest

from sonneteer.cli import main
from sonneteer.promotion import crown
from sonneteer.store import Store

from .made import version

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


@pytest.mark.parametrize("command", ["promote", "export"])
def test_an_empty_reason_is_none(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--allow", "  "]) == 3
    assert "Say why" in capsys.readouterr().err
