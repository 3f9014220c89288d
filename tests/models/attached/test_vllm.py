"""A server of ours that has ended is started again, however often that takes."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from sonneteer.errors import ExtraError
from sonneteer.models.attached import vllm
from sonneteer.models.attached.http import Address


class Process:
    """Has ended, and can be started only at the third try."""

    last_words = "killed"

    def __init__(self) -> None:
        self.tries = 0
        self.is_back = threading.Event()

    @property
    def is_over(self) -> bool:
        return not self.is_back.is_set()

    def start_again(self) -> None:
        self.tries += 1
        if self.tries < 3:
            raise ExtraError("it cannot be started (Cannot allocate memory).")
        self.is_back.set()

    def stop(self) -> None:
        """Nothing to stop."""


def test_one_that_cannot_be_started_at_once_is_tried_again_and_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(vllm, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(vllm, "told", lambda *_, **__: {})
    process: Any = Process()
    server = vllm.Vllm(Address("http://127.0.0.1:9", ""), process, 1)
    assert process.is_back.wait(30)
    server.close()
    told = [record.message for record in caplog.records if record.name == vllm.__name__]
    assert told == [
        "vLLM has ended. it cannot be started (Cannot allocate memory).",
        "vLLM has ended and is started again. At last it said: killed",
    ]
