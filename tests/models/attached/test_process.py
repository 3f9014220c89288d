"""A server that we started ends with us, and not before."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sonneteer.models.attached import process
from sonneteer.models.attached.process import ServerProcess

CALL_AND_STAY = "import socket, time; line = socket.create_connection(('127.0.0.1', {port})); time.sleep(600)"
"""Whoever listens there sees the line close when the program is over."""
GATEWAY = """
import sys, time
from pathlib import Path
from sonneteer.models.attached.process import ServerProcess
server = ServerProcess([sys.executable, "-c", sys.argv[1]], {}, Path(sys.argv[2]))
print(server.pid, flush=True)
time.sleep(600)
"""


def test_it_ends_even_when_we_are_killed_and_can_do_nothing_more(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        program = CALL_AND_STAY.format(port=listener.getsockname()[1])
        command = [sys.executable, "-c", GATEWAY, program, str(tmp_path / "server.log")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as gateway:
            listener.settimeout(60)
            line, _ = listener.accept()
            with line:
                assert gateway.stdout is not None
                assert gateway.stdout.readline()  # the leash is on
                gateway.kill()
                line.settimeout(60)
                assert line.recv(1) == b""


def test_a_ctrl_c_that_is_meant_for_us_does_not_reach_it_and_stopping_does(tmp_path: Path) -> None:
    server = ServerProcess([sys.executable, "-c", "import time; time.sleep(600)"], {}, tmp_path / "server.log")
    assert os.getpgid(server.pid) != os.getpgid(0)
    assert not server.is_over
    server.stop()
    assert server.is_over


def test_one_that_does_not_listen_to_being_asked_is_made_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", 0.2)
    log = tmp_path / "server.log"
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    server = ServerProcess([sys.executable, "-c", f"import signal, time; {deaf}"], {}, log)
    end = time.monotonic() + 60
    while not server.last_words and time.monotonic() < end:
        time.sleep(0.01)
    server.stop()
    assert server.is_over
