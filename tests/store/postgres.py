"""A real PostgreSQL server of the tests' own, where its programs are installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = ("initdb", "pg_ctl", "postgres")
OTHER_USER = "nobody"  # PostgreSQL refuses to run as root


class Postgres:
    """One server, reached by a socket in its own folder. It can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run("initdb", "-D", str(folder / "data"), "-U", "tests", "-A", "trust", "--no-sync", "-E", "UTF8")

    @property
    def url(self) -> str:
        return f"postgresql://tests@/postgres?host={self._folder}"

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses= -c fsync=off"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-l", log, "-o", options, "-w", "-t", "120", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "-w", "stop")

    def kill(self) -> None:
        """kill -9 of the server; its workers notice and go, too."""
        os.kill(int((self._folder / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def _run(self, program: str, *arguments: str) -> None:
        user = OTHER_USER if os.getuid() == 0 else None
        command = [str(shutil.which(program)), *arguments]
        subprocess.run(command, user=user, check=True, stdout=subprocess.DEVNULL, cwd=self._folder)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A running server; the test is skipped where PostgreSQL is not installed."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"PostgreSQL's {', '.join(missing)} cannot be found on the PATH")
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as name:  # a socket's path must be short
        if os.getuid() == 0:
            shutil.chown(name, OTHER_USER)
        server = Postgres(Path(name))
        server.start()
        try:
            yield server
        finally:
            server.stop()
