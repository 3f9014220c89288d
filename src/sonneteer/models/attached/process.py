"""A server that we start. It ends with us, and what it says goes into a file."""

from __future__ import annotations

import atexit
import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sonneteer.errors import ExtraError

LAST_WORDS = 1500  # characters of its output that an error quotes
STOP_SECONDS = 10


class ServerProcess:
    """Starts at once. Raises ExtraError where there is no such program."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log_path: Path) -> None:
        self._command = list(command)
        self._environment = {**os.environ, **environment}
        self.log_path = log_path
        self._process = self._started()
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
        self._process = self._started()

    def stop(self) -> None:
        """End it."""
        if not self.is_over:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        if not self.is_over:
            self._process.kill()
            self._process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.log_path.open("ab") as log:
                return subprocess.Popen(
                    self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
        except OSError as problem:
            raise ExtraError(
                f"serving.vllm.command: '{self._command[0]}' cannot be started ({problem.strerror}). vLLM needs an "
                "environment of its own: install it there (pip install vllm) and name its program, or start it "
                "yourself and write its address as serving.vllm.url."
            ) from problem
