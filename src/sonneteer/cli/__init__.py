"""The command `sonneteer`. Rooms are opened by the commands that need them, so that `--help` answers at once."""

from __future__ import annotations

from sonneteer.cli.entry import main

__all__ = ["main"]
