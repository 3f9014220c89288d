"""A server that we start. It ends with us, and what it says goes into a file."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sonneteer.errors import ExtraError

LAST_WORDS = 1500  # characters of its output that an error quotes
STOP_SECONDS = 10
LEASH = f'read -r _; kill -TERM -"$0"; sleep {STOP_SECONDS}; kill -KILL -"$0"'
"""For a shell that reads from us: its input ends when we do, however that comes, kill -9 included."""


class ServerProcess:
    """Starts at once, in a session of its own: a Ctrl-C that is meant for us must not end the answers under way.

    Raises ExtraError where there is no such program.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log_path: Path) -> None:
        self._command = list(command)
        self._environment = {**os.environ, **environment}
        self.log_path = log_path
        self._process = self._started()
        self._leash = self._leashed()
        atexit.register(self.stop)

    @property
    def pid(self) -> int:
        """Its number in the system."""
        return self._process.pid

    @property
    def is_over(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    @property
    def last_words(self) -> str:
        """The end of what it said."""
        return self.log_path.read_text("utf-8", "replace")[-LAST_WORDS:].strip()

    def start_again(self) -> None:
        """After it has ended."""
        self._let_go()
        self._process = self._started()
        self._leash = self._leashed()

    def stop(self) -> None:
        """End it, with all that it has started."""
        self._let_go()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.is_over:
                os.killpg(self.pid, number)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(STOP_SECONDS)

    def _leashed(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["sh", "-c", LEASH, str(self.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _let_go(self) -> None:
        self._leash.kill()
        self._leash.communicate()

    def _started(self) -> subprocess.Popen[bytes]:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.log_path.open("ab") as log:
                return subprocess.Popen(
                    self._command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as problem:
            raise ExtraError(
                f"serving.vllm.command: '{self._command[0]}' cannot be started ({problem.strerror}): vLLM is not "
                "installed here, or not under this name. It needs an environment of its own: install it there (pip "
                "install vllm) and name its program, or start it yourself and write its address as serving.vllm.url."
            ) from problem
