"""Where sources lie: files, folders and patterns on this machine, data sets of the hub, buckets, and databases."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from sonneteer.data import traffic
from sonneteer.data.documents import DOCUMENTS
from sonneteer.data.files import BLOCK, SourceFile, kept_aside, load
from sonneteer.data.hub import PREFIX, from_hub, splits_of
from sonneteer.data.read import KINDS, PACKED
from sonneteer.errors import DataError, RecipeError
from sonneteer.recipe.sections import PassageSettings, SourceSettings
from sonneteer.store import Store, queried

URL = re.compile(r"[a-z][a-z0-9+.]*://", re.IGNORECASE)
PATTERN = re.compile(r"[*?\[]")


def expanded(sources: Sequence[SourceSettings], folder: Path, note: Callable[[str], None]) -> list[SourceSettings]:
    """One source for each file: folders and patterns stand for all readable files in them, in the order of names."""
    single: list[SourceSettings] = []
    for source in sources:
        if source.path.startswith(PREFIX):
            single += splits_of(source, folder)
        elif (
            source.query
            or source.path.startswith(traffic.PREFIX)
            or URL.match(source.path)
            or (folder / source.path).is_file()
        ):
            single.append(source)
        elif (folder / source.path).is_dir():
            single += _files_of(source, folder, f"{source.path.rstrip('/')}/**/*", note)
        elif PATTERN.search(source.path):
            single += _files_of(source, folder, source.path, note)
        else:
            single.append(source)
    return single


def _is_single(path: str, folder: Path) -> bool:
    return path.startswith(traffic.PREFIX) or URL.match(path) is not None or (folder / path).is_file()


def is_document(source: SourceSettings) -> bool:
    """Whether a source is read as a document: because the recipe says so, or because it can be nothing else."""
    return source.passages is not None or PurePosixPath(source.path.lower()).suffix in DOCUMENTS.keys() - KINDS.keys()


def fetch(source: SourceSettings, folder: Path, store: Store | None = None) -> SourceFile:
    """A source's content, as it is at this moment. Live traffic lies in the store."""
    if source.path.startswith(traffic.PREFIX):
        assert store is not None, "traffic is read with its store"
        return traffic.from_traffic(source.path, store)
    if source.query:
        return _from_database(source, folder)
    if source.path.startswith(PREFIX):
        return from_hub(source.path, folder)
    if URL.match(source.path):
        return _from_bucket(source.path)
    return load(folder / source.path)


def _files_of(source: SourceSettings, folder: Path, pattern: str, note: Callable[[str], None]) -> list[SourceSettings]:
    root = Path(pattern).anchor
    base = Path(root) if root else folder
    found = sorted(path for path in base.glob(str(Path(pattern).relative_to(root) if root else pattern)))
    files = [path for path in found if path.is_file() and not any(part.startswith(".") for part in path.parts[-2:])]
    source = source.model_copy(update={"passages": source.passages or _implied(files)})
    readable = [path for path in files if _can_be_read(path, is_document=source.passages is not None)]
    if not readable:
        raise DataError(
            f"{source.path}: there is no file in it that can be read. Known are {', '.join(KINDS)}, each also with "
            f"{', '.join(PACKED)}; and the documents {', '.join(DOCUMENTS)}."
        )
    if passed_over := len(files) - len(readable):
        documents = sum(path.suffix.lower() in DOCUMENTS for path in files if path not in readable)
        hint = f" {documents} of them are documents: name them in a source with `passages`." if documents else ""
        note(f"{source.path}: {passed_over} files of other kinds were passed over.{hint}")
    names = [str(path) if root else path.relative_to(folder).as_posix() for path in readable]
    return [source.model_copy(update={"path": name}) for name in names]


def _can_be_read(path: Path, is_document: bool) -> bool:
    return path.suffix.lower() in DOCUMENTS if is_document else _kind(path.name) in KINDS


def _implied(files: Sequence[Path]) -> PassageSettings | None:
    """Where there is nothing but documents and plain text, they are read as documents."""
    kinds = {_kind(path.name) for path in files}
    has_rows = bool(kinds & KINDS.keys() - DOCUMENTS.keys())
    return None if has_rows or not kinds & DOCUMENTS.keys() - KINDS.keys() else PassageSettings()


def _kind(name: str) -> str:
    path = PurePosixPath(name.lower())
    return (PurePosixPath(path.stem) if path.suffix in PACKED else path).suffix


def _from_bucket(url: str) -> SourceFile:
    import fsspec

    try:
        with fsspec.open(url, "rb") as stream:
            return kept_aside(Path(url), iter(lambda: stream.read(BLOCK), b""))
    except ImportError as problem:
        raise DataError(f"{url} needs a package that is not installed: {problem}") from problem
    except (OSError, ValueError) as problem:
        raise DataError(f"{url} cannot be read: {type(problem).__name__}: {problem}.") from problem


def _from_database(source: SourceSettings, folder: Path) -> SourceFile:
    """The rows that the query gives, as JSON lines. `$NAME` in the URL stands for a variable of the environment."""
    url = os.path.expandvars(source.path)
    if "$" in url:
        raise RecipeError(f"data.sources: {source.path}: the environment does not have the variable named there.")
    lines = (json.dumps(row, ensure_ascii=False, default=_plain) for row in queried(url, source.query, folder))
    return kept_aside(Path(source.path), (f"{line}\n".encode() for line in lines), kind=".jsonl")


def _plain(value: Any) -> Any:
    """What JSON has no word for: dates as ISO 8601, decimals as numbers, bytes as text."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else float(value)
