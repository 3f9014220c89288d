"""Files are read row by row, and refused in words."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import tracemalloc
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonneteer.data.files import load
from sonneteer.data.read import rows_of, stream
from sonneteer.data.values import RawRow
from sonneteer.errors import DataError


def rows_in(tmp_path: Path, name: str, content: bytes | str) -> list[RawRow]:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return rows_of(load(path))


def refusal(tmp_path: Path, name: str, content: bytes | str) -> str:
    with pytest.raises(DataError) as caught:
        rows_in(tmp_path, name, content)
    assert name in str(caught.value)
    return str(caught.value)


def zstandard(content: bytes) -> bytes:
    sink = arrow.BufferOutputStream()
    with arrow.CompressedOutputStream(sink, "zstd") as packed:
        packed.write(content)
    return bytes(sink.getvalue())


def parquet_of(content: bytes) -> bytes:
    sink = io.BytesIO()
    rows = [json.loads(line) for line in content.split(b"\n") if line]
    parquet.write_table(arrow.table({"a": [row["a"] for row in rows]}), sink, row_group_size=1000)
    return sink.getvalue()


ROWS = [RawRow(1, {"a": "x"}), RawRow(2, {"a": "y"})]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.jsonl", '{"a": "x"}\n{"a": "y"}\n'),
        ("x.jsonl", '{"a": "x"}\r\n{"a": "y", "b": null}'),
        ("x.jsonl", b'\xef\xbb\xbf{"a": "x"}\n{"a": "y"}'),
        ("x.NDJSON", '{"a": "x"}\n{"a": "y"}\n'),
        ("x.json", '[{"a": "x"},\n {"a": "y"}]'),
        ("x.json", '{"data": [{"a": "x"}, {"a": "y"}]}'),
        ("x.json", '{"a": "x"}\n{"a": "y"}\n'),
        ("x.jsonl.gz", gzip.compress(b'{"a": "x"}\n{"a": "y"}\n', mtime=0)),
        ("x.jsonl.xz", lzma.compress(b'{"a": "x"}\n{"a": "y"}\n')),
        ("x.jsonl.zst", zstandard(b'{"a": "x"}\n{"a": "y"}\n')),
        ("x.jsonl", '{"a": "x"}\n{"a": "y"}\n'.encode("utf-16")),
        ("x.jsonl", '\ufeff{"a": "x"}\n{"a": "y"}\n'.encode("utf-32-be")),
    ],
)
def test_json_is_read_in_all_its_forms(tmp_path: Path, name: str, content: bytes | str) -> None:
    assert rows_in(tmp_path, name, content) == ROWS


def test_a_single_object_is_a_single_row(tmp_path: Path) -> None:
    content = {"messages": [{"role": "user"}], "a": 1}
    assert rows_in(tmp_path, "x.json", json.dumps(content)) == [RawRow(1, content)]


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
@settings(deadline=None, max_examples=60)
def test_no_character_inside_a_text_ends_a_line(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("lines")
    lines = "".join(json.dumps({"a": f"{text}\u2028\u0085\x1c"}, ensure_ascii=False) + "\n" for text in texts)
    assert [row.fields for row in rows_in(folder, "x.jsonl", lines)] == [{"a": f"{t}\u2028\u0085\x1c"} for t in texts]


def test_blank_lines_are_no_rows_but_count_as_lines(tmp_path: Path) -> None:
    assert [row.number for row in rows_in(tmp_path, "x.jsonl", '\n{"a": 1}\n  \n{"a": 2}\n')] == [2, 4]


BROKEN: list[tuple[str, str]] = [
    ('{"a": ', "the line cannot be read as JSON: Expecting value (column 7)"),
    ('{"a": NaN}', "NaN is no JSON number"),
    ("[1, 2]", "the row must be an object with named fields, not a list"),
    ('"secret"', "the row must be an object with named fields, not text"),
    ('{"a": "secret \\ud83d"}', "half of a character"),
    ("[" * 100_000, "nested too deeply"),
    ('{"a": "secret", "b": {"c": 1, "c": 2}}', "a field stands twice in one object"),
]


@pytest.mark.parametrize(("line", "reason"), BROKEN)
def test_a_broken_line_says_why_and_the_others_are_read(tmp_path: Path, line: str, reason: str) -> None:
    before, broken, after = rows_in(tmp_path, "x.jsonl", f'{{"a": 1}}\n{line}\n{{"a": 2}}')
    assert (before.fields, after.fields) == ({"a": 1}, {"a": 2})
    assert broken.fields is None
    assert reason in broken.problem
    assert "secret" not in broken.problem


def test_a_whole_surrogate_pair_is_a_character(tmp_path: Path) -> None:
    assert rows_in(tmp_path, "x.jsonl", '{"a": "\\ud83d\\ude00"}')[0].fields == {"a": "\U0001f600"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.jsonl", b"", "is empty"),
        ("x.jsonl", b"\n \n", "is empty"),
        ("x.json", b"  ", "is empty"),
        ("x.json", b"[]", "is empty"),
        ("x.csv", b"a,b\n", "is empty"),
        ("x.txt", b"\n", "is empty"),
        ("x.jsonl.xz", b"no xz", "no whole xz file"),
        ("x.jsonl.zst", b"no zst", "no whole zst file"),
        ("x.json", b'[{"a": 1},\n {"a": }]', "Expecting value (line 2, column 8)"),
        ("x.json", b"3", "must hold a list of rows, not a number"),
        ("x.docx", b"PK", "'.docx' files cannot be read. Known are .jsonl"),
        ("x.jsonl.gz", b"no gzip", "no whole gzip file"),
        ("x.jsonl.gz", gzip.compress(b'{"a": 1}' * 99, mtime=0)[:-9], "no whole gzip file"),
        ("x.parquet", b"no parquet", "no whole Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_words(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    assert said in refusal(tmp_path, name, content)


FRENCH = "Où est ma commande ? J'ai payé la semaine dernière, et le colis n'est pas encore arrivé à Genève. Ça suffit !"


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_the_encoding_is_detected(tmp_path: Path, encoding: str) -> None:
    line = json.dumps({"a": FRENCH}, ensure_ascii=False)
    assert rows_in(tmp_path, "x.jsonl", f"{line}\n".encode(encoding)) == [RawRow(1, {"a": FRENCH})]


def test_the_encoding_that_the_recipe_names_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes('{"a": "Ж"}'.encode("cp1251"))
    assert rows_of(load(tmp_path / "x.jsonl"), "cp1251") == [RawRow(1, {"a": "Ж"})]
    with pytest.raises(DataError, match="no known encoding"):
        rows_of(load(tmp_path / "x.jsonl"), "cp99999")
    with pytest.raises(DataError, match="is not in utf-16"):
        rows_of(load(tmp_path / "x.jsonl"), "utf-16")


def test_named_utf_8_is_read_line_by_line_too(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"a": "caf\xe9"}\n{"a": 1}\n')
    assert rows_of(load(tmp_path / "x.jsonl"), "UTF8") == [
        RawRow(1, None, "byte 0xe9 is no UTF-8"),
        RawRow(2, {"a": 1}),
    ]


def test_a_broken_byte_in_a_file_of_utf_8_breaks_its_line_alone(tmp_path: Path) -> None:
    lines = [json.dumps({"a": FRENCH}, ensure_ascii=False).encode()] * 2
    lines.insert(1, b'{"a": "caf\xe9"}')
    before, broken, after = rows_in(tmp_path, "x.jsonl", b"\n".join(lines))
    assert before.fields == after.fields == {"a": FRENCH}
    assert (broken.number, broken.problem) == (2, "byte 0xe9 is no UTF-8")


def test_a_broken_byte_in_a_table_breaks_its_row_alone(tmp_path: Path) -> None:
    before, broken, after = rows_in(tmp_path, "x.csv", f'a,b\n"{FRENCH * 2}",1\n'.encode() + b"caf\xe9,2\n\xc3\xa9,3\n")
    assert (before.fields, after.fields) == ({"a": FRENCH * 2, "b": "1"}, {"a": "é", "b": "3"})
    assert (broken.number, broken.problem) == (3, "byte 0xe9 is no UTF-8")


def test_a_mark_of_utf_8_does_not_make_one_broken_line_break_the_file(tmp_path: Path) -> None:
    rows = rows_in(tmp_path, "x.jsonl", b'\xef\xbb\xbf{"a": 1}\n{"a": "caf\xe9"}\n')
    assert [row.fields for row in rows] == [{"a": 1}, None]


def test_a_file_that_is_written_to_meanwhile_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n')
    file = load(tmp_path / "x.jsonl")
    (tmp_path / "x.jsonl").write_text('{"a": 12}\n')
    with pytest.raises(DataError, match="was changed while it was read"):
        rows_of(file)
    file = load(tmp_path / "x.jsonl")
    rows = stream(file).rows
    assert next(rows).fields == {"a": 12}
    (tmp_path / "x.jsonl").write_text('{"a": 123}\n')
    with pytest.raises(DataError, match="was changed while it was read"):
        next(rows)


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.csv", "x.jsonl.zst", "x.parquet"])
def test_a_large_file_is_never_held_as_a_whole(tmp_path: Path, name: str) -> None:
    lines = [f'{{"a": "{number} {"x" * 900}"}}\n' for number in range(20_000)]
    content = "a\n" + "".join(lines).replace('{"a": ', "").replace("}", "") if name == "x.csv" else "".join(lines)
    packed = {".gz": gzip.compress, ".zst": zstandard, ".parquet": parquet_of}.get(name[name.rindex(".") :], bytes)
    (tmp_path / name).write_bytes(packed(content.encode()))
    tracemalloc.start()
    try:
        count = sum(1 for _ in stream(load(tmp_path / name)).rows)
        assert tracemalloc.get_traced_memory()[1] < 9e6 < len(content) / 2
    finally:
        tracemalloc.stop()
    assert count == 20_000


def test_a_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "support.jsonl").write_text("{}")
    with pytest.raises(DataError, match=r"suport\.jsonl does not exist\. Did you mean 'support\.jsonl'\?"):
        load(tmp_path / "suport.jsonl")
    with pytest.raises(DataError, match=r"holds: support\.jsonl\."):
        load(tmp_path / "zzz")
    with pytest.raises(DataError, match="There is no folder"):
        load(tmp_path / "no" / "x.jsonl")


def test_a_folder_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        load(tmp_path)


def test_a_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b"{}")
    assert load(tmp_path / "x.jsonl").sha256 == hashlib.sha256(b"{}").hexdigest()


def test_json_lines_under_another_name_are_rows(tmp_path: Path) -> None:
    assert rows_in(tmp_path, "x.txt", '{"a": "x"}\n{"a": "y"}\n') == ROWS
    assert rows_in(tmp_path, "x.json", '{"a": "x"}\n{"a": "y"}\n') == ROWS


def test_plain_text_is_one_row(tmp_path: Path) -> None:
    assert rows_in(tmp_path, "x.txt", "One.\n\nTwo.\n") == [RawRow(1, {"text": "One.\n\nTwo.\n"})]


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=150)
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for name in ("x.jsonl", "x.json", "x.csv", "x.tsv", "x.txt", "x.parquet", "x.jsonl.gz", "x.csv.xz", "x.csv.zst"):
        try:
            rows = rows_in(folder, name, content)
        except DataError:
            continue
        assert rows
        assert len({row.number for row in rows}) == len(rows)
