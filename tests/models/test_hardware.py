"""What is computed apart leaves no thread behind, and large pages change no memory."""

from __future__ import annotations

import threading

import pytest
import torch

from sonneteer.models.hardware import apart, use_large_pages


def test_work_is_done_in_a_thread_that_ends() -> None:
    worker = apart(threading.current_thread)
    worker.join(60)
    assert worker is not threading.current_thread()
    assert not worker.is_alive()


def test_what_goes_wrong_there_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        apart(lambda: 1 / 0)


def test_memory_in_large_pages_holds_what_it_held() -> None:
    numbers = torch.arange(3_000_000)
    use_large_pages(numbers.data_ptr(), numbers.nbytes)
    assert torch.equal(numbers, torch.arange(3_000_000))


def test_what_is_no_memory_of_ours_stays_as_it_is() -> None:
    use_large_pages(0, 5_000_000)
