"""Rows of anybody's database, read through SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from sonneteer.errors import DataError

ROWS_AT_ONCE = 1000


def queried(url: str, query: str, folder: Path) -> Iterator[dict[str, Any]]:
    """What a query gives, row by row. An SQLite file is found relative to the folder, and is never made.

    Raises DataError, which never shows the URL's password.
    """
    try:
        place = sql.make_url(url)
    except ArgumentError as problem:
        raise DataError(f"data.sources: this is no database URL: {problem}") from problem
    if place.get_backend_name() == "sqlite" and place.database and place.database != ":memory:":
        path = folder / place.database
        if not path.is_file():
            raise DataError(f"{path} does not exist: there is no such SQLite file.")
        place = place.set(database=str(path))
    shown = place.render_as_string(hide_password=True)
    try:
        engine = sql.create_engine(place)
        with engine.connect() as connection:
            result = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(sql.text(query))
            if not result.returns_rows:
                raise DataError(f"{shown}: the query gives no rows. Write one that selects what to read.")
            yield from (dict(row) for row in result.mappings())
    except (NoSuchModuleError, ImportError) as problem:
        raise DataError(f"{shown} needs a driver that is not installed: {problem}") from problem
    except SQLAlchemyError as problem:
        said = str(getattr(problem, "orig", None) or type(problem).__name__)
        raise DataError(f"{shown}: the query cannot be answered: {said.splitlines()[0]}.") from problem
