"""Sources are found as files, in folders, by patterns, in buckets and in databases."""

from __future__ import annotations

import sqlite3
import zipfile
from pathlib import Path

import fsspec
import pytest

from sonneteer.data import prepare
from sonneteer.data.locations import expanded, fetch
from sonneteer.data.read import rows_of
from sonneteer.errors import DataError, RecipeError, SonneteerError
from sonneteer.recipe.sections import SourceSettings
from sonneteer.store import Store
from tests.data.writing import WordReader, question, recipe_of, write_lines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "logs" / "may").mkdir(parents=True)
    write_lines(tmp_path / "logs" / "b.jsonl", [question(i) for i in range(10)])
    write_lines(tmp_path / "logs" / "a.jsonl", [question(i) for i in range(10, 20)])
    write_lines(tmp_path / "logs" / "may" / "c.jsonl", [question(i) for i in range(20, 30)])
    (tmp_path / "logs" / "notes.docx").write_bytes(b"PK")
    (tmp_path / "logs" / ".hidden.jsonl").write_text("torn")
    return tmp_path


def paths(folder: Path, path: str, notes: list[str] | None = None) -> list[str]:
    noted = (notes if notes is not None else []).append
    return [source.path for source in expanded([SourceSettings(path=path)], folder, noted)]


def test_a_folder_stands_for_all_its_readable_files(folder: Path) -> None:
    notes: list[str] = []
    assert paths(folder, "logs", notes) == ["logs/a.jsonl", "logs/b.jsonl", "logs/may/c.jsonl"]
    hint = "Documents among them: 1. Name these in a source with `passages`."
    assert notes == [f"logs: files of other kinds that were passed over: 1. {hint}"]


def test_a_pattern_stands_for_what_fits_it(folder: Path) -> None:
    assert paths(folder, "logs/*.jsonl") == ["logs/a.jsonl", "logs/b.jsonl"]
    assert paths(folder, f"{folder}/logs/**/c.jsonl") == [f"{folder}/logs/may/c.jsonl"]
    assert paths(folder, "logs/b.jsonl") == ["logs/b.jsonl"]


def test_a_pattern_that_nothing_fits_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="no file in it that can be read"):
        paths(folder, "logs/*.csv")


def test_the_rows_of_a_folder_have_their_file_in_the_ledger(folder: Path) -> None:
    dataset = prepare(recipe_of("logs"), folder, Store(folder / "workspace"), WordReader())
    assert [(source.path, source.rows) for source in dataset.sources] == [
        ("logs/a.jsonl", 10),
        ("logs/b.jsonl", 10),
        ("logs/may/c.jsonl", 10),
    ]


def test_a_bucket_is_read_where_a_file_is(folder: Path) -> None:
    with fsspec.open("memory://bucket/x.jsonl", "wb") as stream:
        stream.write((folder / "logs" / "a.jsonl").read_bytes())
    recipe = recipe_of("memory://bucket/x.jsonl")
    assert prepare(recipe, folder, Store(folder / "workspace"), WordReader()).rows == 10
    with fsspec.open("memory://bucket/empty.jsonl", "wb"):
        pass
    with pytest.raises(DataError, match=r"^memory://bucket/empty\.jsonl is empty"):
        prepare(recipe_of("memory://bucket/empty.jsonl"), folder, Store(folder / "workspace"), WordReader())
    with pytest.raises(DataError, match=r"none\.jsonl does not exist, or its server"):
        fetch(SourceSettings(path="memory://bucket/none.jsonl"), folder)


def test_a_bucket_s_folder_or_pattern_stands_for_its_files(folder: Path) -> None:
    assert paths(folder, f"file://{folder}/logs/*.jsonl") == [f"file://{folder}/logs/{name}.jsonl" for name in "ab"]
    assert paths(folder, f"file://{folder}/logs/")[-1] == f"file://{folder}/logs/may/c.jsonl"
    with pytest.raises(DataError, match="no file in it that can be read"):
        paths(folder, f"file://{folder}/logs/*.csv")
    with pytest.raises(DataError, match=r"is a folder\. For all files in it write file:"):
        fetch(SourceSettings(path=f"file://{folder}/logs"), folder)


def test_files_in_an_archive_are_read(folder: Path) -> None:
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        archive.write(folder / "logs" / "a.jsonl", "in/a.jsonl")
    (path,) = paths(folder, f"zip://in/*.jsonl::file://{folder}/all.zip")
    assert path == f"zip://in/a.jsonl::file://{folder}/all.zip"
    assert len(rows_of(fetch(SourceSettings(path=path), folder))) == 10


def test_a_folder_beside_the_recipe_s_is_found(folder: Path) -> None:
    assert paths(folder / "logs" / "may", "../*.jsonl") == ["../a.jsonl", "../b.jsonl"]


@pytest.mark.parametrize(
    "url", ["https://me:sesame99@host/x.jsonl", "https://host/x.jsonl?token=sesame99", "postgresql://me:sesame99@db/x"]
)
def test_a_secret_in_a_url_is_refused_and_not_repeated(folder: Path, url: str) -> None:
    with pytest.raises(RecipeError, match="Put it into a variable") as caught:
        paths(folder, url)
    assert "sesame" not in str(caught.value)


def test_a_variable_stands_for_a_secret(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"file://{folder}/logs/$SESAME.jsonl"
    assert paths(folder, url) == [url]
    with pytest.raises(RecipeError, match=r"does not have the variable \$SESAME"):
        fetch(SourceSettings(path=url), folder)
    monkeypatch.setenv("SESAME", "a")
    assert len(rows_of(fetch(SourceSettings(path=url), folder))) == 10


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("logs/notes.doc", "'.doc' files cannot be read. Known are .*the documents .pdf"),
        ("logs/notes", "its name has no suffix"),
        ("sqlite:///crm.db", "For a database say in `query`"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_can(folder: Path, path: str, said: str) -> None:
    for name in ("notes.doc", "notes"):
        (folder / "logs" / name).write_bytes(b"x")
    with pytest.raises(DataError, match=said):
        fetch(SourceSettings(path=path), folder)


@pytest.fixture
def database(tmp_path: Path) -> SourceSettings:
    with sqlite3.connect(tmp_path / "crm.db") as connection:
        connection.execute("create table mail (asked text, replied text, at date)")
        rows = [(f"question {i}", f"answer {i}", "2026-03-01") for i in range(12)]
        connection.executemany("insert into mail values (?, ?, ?)", rows)
    connection.close()
    query = "select asked as prompt, replied as completion, at as time from mail"
    return SourceSettings(path="sqlite:///crm.db", query=query)


def test_the_rows_of_a_query_are_read(tmp_path: Path, database: SourceSettings) -> None:
    dataset = prepare(recipe_of(database), tmp_path, Store(tmp_path / "workspace"), WordReader())
    assert (dataset.rows, dataset.sources[0].path) == (12, "sqlite:///crm.db")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"query": "select one from nowhere"}, "no such table: nowhere"),
        ({"query": "delete from mail"}, "the query gives no rows"),
        ({"path": "sqlite:///none.db"}, "no such SQLite file"),
        ({"path": "oracle9://me:secret@host/x"}, r"me:\*\*\*@host/x needs a driver"),
        ({"path": "no url"}, "no database URL"),
        ({"path": "postgresql://me:$NOT_THERE_9@host/x"}, "the environment does not have"),
    ],
)
def test_a_query_that_cannot_be_answered_is_refused_in_words(
    tmp_path: Path, database: SourceSettings, change: dict[str, str], said: str
) -> None:
    with pytest.raises((DataError, RecipeError), match=said) as caught:
        fetch(database.model_copy(update=change), tmp_path)
    assert isinstance(caught.value, SonneteerError)
    assert "secret" not in str(caught.value)
