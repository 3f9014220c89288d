"""What is computed apart leaves no thread behind."""

from __future__ import annotations

import threading

import pytest

from sonneteer.models.hardware import apart


def test_work_is_done_in_a_thread_that_ends() -> None:
    worker = apart(threading.current_thread)
    worker.join(60)
    assert worker is not threading.current_thread()
    assert not worker.is_alive()


def test_what_goes_wrong_there_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        apart(lambda: 1 / 0)
