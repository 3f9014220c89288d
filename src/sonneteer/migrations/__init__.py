"""How the catalogue became what it is: one step a file, in order, applied when a workspace is opened."""

from __future__ import annotations

import logging
from pathlib import Path

import sqlalchemy as sql
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from sonneteer.errors import MachineError


def upgrade(connection: sql.Connection) -> None:
    """Apply the steps that this catalogue lacks, all in the connection's transaction."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.attributes["connection"] = connection
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    try:
        command.upgrade(config, "head")
    except CommandError as problem:
        raise MachineError(
            f"The workspace's catalogue was written by a newer Sonneteer ({problem}). Update Sonneteer."
        ) from problem
