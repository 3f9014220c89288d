"""Where sources lie: files, folders and patterns on this machine, data sets of the hub, buckets, and databases."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.core import url_to_fs

from sonneteer.data import traffic
from sonneteer.data.documents import DOCUMENTS
from sonneteer.data.files import BLOCK, SourceFile, kept_aside, load
from sonneteer.data.hub import PREFIX, from_hub, splits_of
from sonneteer.data.read import KINDS, PACKED
from sonneteer.errors import DataError, RecipeError, SonneteerError
from sonneteer.privacy import Finder, masked
from sonneteer.recipe.sections import PERSONAL_KINDS, PassageSettings, PrivacySettings, SourceSettings
from sonneteer.store import Store, queried

URL = re.compile(r"[a-z][a-z0-9+.]*://", re.IGNORECASE)
PATTERN = re.compile(r"[*?\[]")
VARIABLE = re.compile(r"\$\w+|\$\{\w+\}")
READABLE = (
    f"Known are {', '.join(KINDS)}, each also with {', '.join(PACKED)}; and the documents {', '.join(DOCUMENTS)}."
)
ONLY_SECRETS = PrivacySettings.model_validate({kind: "keep" for kind in PERSONAL_KINDS if kind != "secrets"})


def expanded(sources: Sequence[SourceSettings], folder: Path, note: Callable[[str], None]) -> list[SourceSettings]:
    """One source for each file: folders and patterns stand for all readable files in them, in the order of names.

    Raises RecipeError where a secret stands in a URL: ledger and card name the sources.
    """
    _refuse_secrets(sources)
    single: list[SourceSettings] = []
    for source in sources:
        path = source.path
        if path.startswith(PREFIX):
            single += splits_of(source, folder)
        elif source.query or path.startswith(traffic.PREFIX) or (folder / path).is_file():
            single.append(source)
        elif URL.match(path):
            single += _readable(source, _in_bucket(path), note) if _is_many(path) else [source]
        elif (folder / path).is_dir():
            single += _readable(source, _fitting(f"{path.rstrip('/')}/**/*", folder), note)
        elif PATTERN.search(path):
            single += _readable(source, _fitting(path, folder), note)
        else:
            single.append(source)
    return single


def _refuse_secrets(sources: Sequence[SourceSettings]) -> None:
    urls = [VARIABLE.sub("", source.path) for source in sources if URL.match(source.path)]
    found = Finder(ONLY_SECRETS).find(urls) if urls else []
    problems = [
        f"data.sources: a password or token stands in {url[: one[0].start]}... Put it into a variable of the "
        "environment, and write $NAME in its place: the ledger and the card name the sources."
        for url, one in zip(urls, found, strict=True)
        if one
    ]
    if problems:
        raise RecipeError(problems)


def is_document(source: SourceSettings) -> bool:
    """Whether a source is read as a document: because the recipe says so, or because it can be nothing else."""
    suffix = PurePosixPath(name_in(source.path).lower()).suffix
    return source.passages is not None or suffix in DOCUMENTS.keys() - KINDS.keys()


def name_in(path: str) -> str:
    """A path without what may follow it in a URL: the other links of a chain, and a query."""
    return path.partition("::")[0].partition("?")[0] if URL.match(path) else path


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
        return _from_bucket(source)
    file = load(folder / source.path)
    _refuse_unknown_kind(source)
    return file


def _refuse_unknown_kind(source: SourceSettings) -> None:
    name = name_in(source.path)
    if not _can_be_read(name, is_document(source)):
        suffix = PurePosixPath(name).suffix
        named = f"'{suffix}' files cannot be read" if suffix else "its name has no suffix that says what is in it"
        raise DataError(f"{source.path}: {named}. {READABLE}")


def _fitting(pattern: str, folder: Path) -> list[str]:
    """Files on this machine that fit a pattern, named from the folder where the pattern is."""
    root = Path(pattern).anchor
    found = (Path(root) if root else folder).glob(str(Path(pattern).relative_to(root) if root else pattern))
    return [str(path) if root else path.relative_to(folder).as_posix() for path in found if path.is_file()]


def _is_many(url: str) -> bool:
    """Whether a URL is that of a bucket's folder or of a pattern. Web servers do not tell what they hold."""
    first = name_in(url)
    return not first.lower().startswith("http") and (first.endswith("/") or "*" in first)


def _in_bucket(url: str) -> list[str]:
    first, mark, rest = url.partition("::")
    with _told(url):
        files, root = url_to_fs(_with_variables(url))
        names = files.find(root) if first.endswith("/") else filter(files.isfile, files.glob(root))
        return [f"{first.partition('://')[0]}://{name}{mark}{rest}" for name in names]


def _readable(source: SourceSettings, names: Iterable[str], note: Callable[[str], None]) -> list[SourceSettings]:
    """A source for each of these files that can be read, and a word on the others."""
    files = sorted(name for name in names if not _is_hidden(name))
    source = source.model_copy(update={"passages": source.passages or _implied(files)})
    readable = [name for name in files if _can_be_read(name_in(name), is_document=source.passages is not None)]
    if not readable:
        raise DataError(f"{source.path}: there is no file in it that can be read. {READABLE}")
    if passed_over := len(files) - len(readable):
        documents = sum(PurePosixPath(name_in(name).lower()).suffix in DOCUMENTS for name in set(files) - set(readable))
        hint = f" Documents among them: {documents}. Name these in a source with `passages`." if documents else ""
        note(f"{source.path}: files of other kinds that were passed over: {passed_over}.{hint}")
    return [source.model_copy(update={"path": name}) for name in readable]


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") and part.strip(".") for part in PurePosixPath(name_in(name)).parts[-2:])


def _can_be_read(name: str, is_document: bool) -> bool:
    return PurePosixPath(name.lower()).suffix in DOCUMENTS if is_document else _kind(name) in KINDS


def _implied(names: Sequence[str]) -> PassageSettings | None:
    """Where there is nothing but documents and plain text, they are read as documents."""
    kinds = {_kind(name_in(name)) for name in names}
    has_rows = bool(kinds & KINDS.keys() - DOCUMENTS.keys())
    return None if has_rows or not kinds & DOCUMENTS.keys() - KINDS.keys() else PassageSettings()


def _kind(name: str) -> str:
    path = PurePosixPath(name.lower())
    return (PurePosixPath(path.stem) if path.suffix in PACKED else path).suffix


def _from_bucket(source: SourceSettings) -> SourceFile:
    with _told(source.path), fsspec.open(_with_variables(source.path), "rb") as stream:
        _refuse_unknown_kind(source)
        return kept_aside(name_in(source.path), iter(lambda: stream.read(BLOCK), b""))


@contextmanager
def _told(url: str) -> Iterator[None]:
    """What fsspec stumbles over, in words. It may repeat the URL with its secrets."""
    shown = name_in(url)
    try:
        yield
    except SonneteerError:
        raise
    except ImportError as problem:
        raise DataError(f"{shown} needs a package that is not installed: {problem}") from problem
    except FileNotFoundError as problem:
        raise DataError(f"{shown} does not exist, or its server does not answer.") from problem
    except IsADirectoryError as problem:
        raise DataError(f"{shown} is a folder. For all files in it write {shown}/") from problem
    except ValueError as problem:
        hint = " For a database say in `query` what to read." if "Protocol not known" in str(problem) else ""
        raise DataError(f"{shown} cannot be read: {masked(str(problem))}.{hint}") from problem
    except OSError as problem:
        raise DataError(f"{shown} cannot be read: {type(problem).__name__}: {masked(str(problem))}.") from problem


def _from_database(source: SourceSettings, folder: Path) -> SourceFile:
    """The rows that the query gives, as JSON lines."""
    rows = queried(_with_variables(source.path), source.query, folder)
    lines = (json.dumps(row, ensure_ascii=False, default=_plain) for row in rows)
    return kept_aside(source.path, (f"{line}\n".encode() for line in lines), kind=".jsonl")


def _with_variables(url: str) -> str:
    """`$NAME` in a URL stands for a variable of the environment. Raises RecipeError where there is none."""
    missing = [name for name in VARIABLE.findall(url) if name.strip("${}") not in os.environ]
    if missing:
        raise RecipeError(f"data.sources: {url}: the environment does not have the variable {', '.join(missing)}.")
    return VARIABLE.sub(lambda found: os.environ[found[0].strip("${}")], url)


def _plain(value: Any) -> Any:
    """What JSON has no word for: dates as ISO 8601, decimals as numbers, bytes as text."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("utf-8", "replace")
    return float(value) if isinstance(value, Decimal) else str(value)
