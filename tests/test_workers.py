"""Whoever works for a process ends with it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

FORKED = """
import os, time
from sonneteer.data.hands import Hands
for pid in Hands(2).spread(lambda part: time.sleep(part) or os.getpid(), [0, 0.2] + [600] * 4):
    print(pid, flush=True)
"""
SPAWNED = """
import multiprocessing, os
from concurrent.futures import ProcessPoolExecutor
from sonneteer.workers import end_with_parent
with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), end_with_parent) as pool:
    for _ in range(2):
        print(pool.submit(os.getpid).result(), flush=True)
    input()
"""


def is_at_work(pid: int) -> bool:
    """Whether there is such a process, and not only what its parent has not taken note of."""
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up as Linux shows them")
@pytest.mark.parametrize("script", [FORKED, SPAWNED])
def test_whoever_works_for_a_process_that_was_killed_ends_too(script: str) -> None:
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as working:
        assert working.stdout is not None
        pids = {int(working.stdout.readline()) for _ in range(2)}
        working.kill()
    waited_until = time.monotonic() + 60
    while any(map(is_at_work, pids)) and time.monotonic() < waited_until:
        time.sleep(0.05)
    assert not any(map(is_at_work, pids))
