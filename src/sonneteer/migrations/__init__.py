"""How the catalogue became what it is: one step a file, in order, applied when a workspace is opened."""

from __future__ import annotations

import logging
from pathlib import Path

import sqlalchemy as sql

from sonneteer.errors import MachineError

FOLDER = Path(__file__).parent
NEWEST = max(path.stem.split("_")[0] for path in (FOLDER / "versions").glob("[0-9]*.py"))
REVISION = sql.table("alembic_version", sql.column("version_num"))


def upgrade(connection: sql.Connection) -> None:
    """Apply the steps that this catalogue lacks, all in the connection's transaction."""
    if _revision(connection) == NEWEST:
        return
    # Loading Alembic takes every command longer than all that most of them do.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.attributes["connection"] = connection
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    try:
        command.upgrade(config, "head")
    except CommandError as problem:
        raise MachineError(
            f"The workspace's catalogue was written by a newer Sonneteer ({problem}). Update Sonneteer."
        ) from problem


def _revision(connection: sql.Connection) -> str | None:
    """The last step that was applied; None for a new catalogue."""
    if not sql.inspect(connection).has_table(REVISION.name):
        return None
    return connection.execute(sql.select(REVISION.c.version_num)).scalar()
