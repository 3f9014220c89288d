"""One writer at a time, across processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sonneteer.errors import BusyError
from sonneteer.store import Store

HOLD = """
import sys
from pathlib import Path
from sonneteer.store import Store
with Store(Path(sys.argv[1])).writing("run-7"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing("run-7"), pytest.raises(BusyError) as caught, store.writing("run-7"):
        pass
    assert f"process {os.getpid()}, since 2" in str(caught.value)
    assert "'run-7'" in str(caught.value)


def test_after_the_first_the_second_may_write(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), store.writing("run-7"):
            raise ZeroDivisionError


def test_writers_of_different_things_do_not_wait_for_each_other(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing("run-7"), store.writing("run-8"):
        pass


def test_any_words_name_what_is_written(tmp_path: Path) -> None:
    with Store(tmp_path).writing("data of ../my company"):
        pass
    assert all(path.parent == tmp_path / "locks" for path in tmp_path.rglob("*.lock"))


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    store = Store(tmp_path)
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=f"process {other.pid}, since"), store.writing("run-7"):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
    with store.writing("run-7"):
        pass
