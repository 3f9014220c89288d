"""Ten thousand broken files: each is read as far as it goes or refused in words, and no good row is lost."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import lzma
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from sonneteer.data.documents import DOCUMENTS
from sonneteer.data.files import load
from sonneteer.data.ledger import Ledger
from sonneteer.data.sources import gather
from sonneteer.errors import SonneteerError
from sonneteer.progress import Silent
from sonneteer.recipe.sections import DataSettings, SourceSettings
from tests.data.test_documents import MARKDOWN, PAGE, mail, pdf, word
from tests.data.writing import question

GOOD = [
    *(question(number) for number in range(4)),
    {"messages": [{"role": "user", "content": "Où?"}, {"role": "assistant", "content": "\u2028 ici 🙂"}]},
    {"instruction": "Say it", "output": "it", "tags": {"topic": "x"}},
]
JUNK = (
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\r",
    b'"',
    b"{",
    b"[" * 2000,
    b"\\ud800",
    b"NaN",
    b"\xe9",
    b",,,",
    b"\n",
)


def lines(rows: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def table(rows: list[dict[str, object]]) -> bytes:
    sink = io.BytesIO()
    columns = {key: [str(row.get(key, "")) for row in rows] for key in ("prompt", "completion")}
    parquet.write_table(arrow.table(columns), sink)
    return sink.getvalue()


def zstandard(content: bytes) -> bytes:
    return bytes(arrow.compress(content, codec="zstd", asbytes=True))


WHOLE: dict[str, bytes] = {
    "x.jsonl": lines(GOOD),
    "x.json": json.dumps(GOOD).encode(),
    "x.csv": b'prompt,completion\n"a ""b""","c\nd"\ne,f\n',
    "x.tsv": b"prompt\tcompletion\na\tb\nc\td\n",
    "x.txt": b"Es war einmal.\n",
    "x.parquet": table(GOOD),
    "x.jsonl.gz": gzip.compress(lines(GOOD), mtime=0),
    "x.jsonl.xz": lzma.compress(lines(GOOD)),
    "x.jsonl.zst": zstandard(lines(GOOD)),
    "x.csv.gz": gzip.compress(b"prompt,completion\na,b\nc,d\n", mtime=0),
    "x.pdf": pdf("One page", "Two pages"),
    "x.docx": word(),
    "x.html": PAGE.encode(),
    "x.md": MARKDOWN.encode(),
    "x.eml": mail(),
}
FILES = {name: 200 if Path(name).suffix in DOCUMENTS.keys() - {".txt"} else 1_000 for name in WHOLE}
"""So many different ones are thrown at the readers. Documents are read by libraries, some of them slowly."""


def cut(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def flipped(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def stuffed(rng: random.Random, content: bytes) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(JUNK) + content[place:]


def shuffled(rng: random.Random, content: bytes) -> bytes:
    a, b = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[b:] + content[a:b] + content[:a]


def recoded(rng: random.Random, content: bytes) -> bytes:
    return content.decode("utf-8", "replace").encode(rng.choice(["utf-16", "utf-32", "cp1252", "utf-7"]), "replace")


def broken_files(name: str, seed: str) -> Iterator[bytes]:
    """Files that are all different, and none of which is whole: broken in one way, or in two."""
    rng = random.Random(seed)
    known = {WHOLE[name]}
    for number in itertools.count():
        content = WAYS[number % len(WAYS)](rng, WHOLE[name])
        if number % 3 == 0 and content:
            content = rng.choice(WAYS)(rng, content)
        if content not in known:
            known.add(content)
            yield content


WAYS: list[Callable[[random.Random, bytes], bytes]] = [cut, flipped, stuffed, shuffled, recoded]


def read_or_refused(folder: Path, name: str, content: bytes) -> int:
    """Rows that became examples. Anything but our own errors is a failure of the test."""
    path = folder / name
    path.write_bytes(content)
    ledger = Ledger()
    data = DataSettings(sources=(SourceSettings(path=name),), bad_rows_share=1)
    try:
        found = gather(data, [load(path)], [], ledger, Silent())
    except SonneteerError:
        return 0
    broken = ledger.of_fate("broken")
    assert all(entry.reason for entry in broken)
    assert len(broken) + len(found.candidates) == ledger.rows
    return len(found.candidates)


@pytest.mark.parametrize("name", WHOLE)
def test_broken_files_end_in_a_report(tmp_path: Path, name: str) -> None:
    for content in itertools.islice(broken_files(name, name), 40):
        read_or_refused(tmp_path, name, content)


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_ten_thousand_broken_files_end_in_a_report(tmp_path: Path, name: str) -> None:
    for content in itertools.islice(broken_files(name, f"many {name}"), FILES[name]):
        read_or_refused(tmp_path, name, content)


def test_there_are_ten_thousand_of_them() -> None:
    assert sum(FILES.values()) >= 10_000


def test_no_good_line_is_lost_among_broken_ones(tmp_path: Path) -> None:
    rng = random.Random(3)
    good = [question(number) for number in range(50)]
    for _ in range(20):
        dirt = [stuffed(rng, cut(rng, lines(GOOD[:1]).strip())).replace(b"\n", b"") for _ in range(10)]
        all_lines = [json.dumps(row).encode() for row in good] + [b"!" + line for line in dirt]
        rng.shuffle(all_lines)
        assert read_or_refused(tmp_path, "x.jsonl", b"\n".join(all_lines)) == len(good)


def test_no_good_row_of_a_table_is_lost_among_broken_ones(tmp_path: Path) -> None:
    rng = random.Random(4)
    good = [f'question {number},"answer ""{number}""\nin two lines"' for number in range(50)]
    dirt = ['"never closed,x', 'stray "quote" here', '"stray"quote,x', "one cell", "a,b,c", '"\u00e9,x,']
    for _ in range(20):
        rows = [*good, *rng.choices(dirt, k=10)]
        rng.shuffle(rows)
        content = "\n".join(["prompt,completion", *rows]).encode()
        assert read_or_refused(tmp_path, "x.csv", content) == len(good)
