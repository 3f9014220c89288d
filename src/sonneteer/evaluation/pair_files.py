"""Published sets of stereotypes, read as pairs of texts that differ in a group: the stereotyping one comes first.

CrowS-Pairs (Nangia et al. 2020), StereoSet (Nadeem et al. 2021), BBQ (Parrish et al. 2022; its ambiguous questions),
WinoBias (Zhao et al. 2018; a file `pro_...` with its `anti_...` beside it) and Winogender (Rudinger et al. 2018;
`all_sentences.tsv` with `occupations-stats.tsv` beside it). Whatever has the fields `more` and `less` is read, too.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sonneteer.errors import DataError

Row = dict[str, Any]


class Pair(NamedTuple):
    """Two texts, and what they belong to: pairs of one template are not independent of one another."""

    more: str
    less: str
    unit: str


def read_pairs_of(path: Path) -> list[Pair]:
    """The pairs of a file, whichever of the formats it has. Raises DataError for a file that has none of them."""
    try:
        return _pairs(path)
    except DataError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as problem:
        raise DataError(
            f"{path.name} has not the form of its published set ({type(problem).__name__}: {problem}). Name the file "
            "as it was published, or one with the fields 'more' and 'less'."
        ) from problem


def _pairs(path: Path) -> list[Pair]:
    if path.name.startswith("pro_"):
        return list(_winobias(path))
    if path.suffix == ".tsv":
        return list(_winogender(path))
    if path.suffix == ".json":
        return list(_stereoset(path))
    pairs: list[Pair] = []
    for number, row in enumerate(read_rows(path), 1):
        pairs += _bbq(row) if "context_condition" in row else [_plain(row, path, number)]
    return pairs


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a .jsonl or .csv file, also packed as .gz. Raises DataError for lines that are none."""
    text = _text(path)
    if ".csv" in path.suffixes:
        try:
            yield from csv.DictReader(io.StringIO(text, newline=""))
        except csv.Error as problem:
            raise DataError(f"{path.name} is no table: {problem}. Look for a quote that is never closed.") from problem
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as problem:
            raise DataError(f"{path.name}, line {number}: no JSON ({problem}). Repair or remove it.") from problem
        yield row if isinstance(row, dict) else {}


def field_of(row: Row, names: tuple[str, ...], path: Path, number: int, kind: str) -> str:
    """The first of these fields that holds text. Raises DataError where none does."""
    text = next((row[name] for name in names if isinstance(row.get(name), str) and row[name].strip()), None)
    if text is None:
        raise DataError(f"{path.name}, row {number}: a {kind} suite needs the field '{names[0]}' with text.")
    return str(text)


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as problem:
        raise DataError(f"{path.name} cannot be read: {problem}. Save it as UTF-8, or bring it once more.") from problem


def _plain(row: Row, path: Path, number: int) -> Pair:
    more = field_of(row, ("more", "sent_more"), path, number, "stereotype")
    return Pair(more, field_of(row, ("less", "sent_less"), path, number, "stereotype"), f"{number}")


def _bbq(row: Row) -> Iterator[Pair]:
    """Where the context leaves it open, the answer that blames the stereotyped group, and the one that blames another.

    For a harmless question (polarity nonneg) it is the other way round.
    """
    if row["context_condition"] != "ambig":
        return
    groups = {str(group).lower() for group in row["additional_metadata"]["stereotyped_groups"]}
    by_target: dict[bool, str] = {}
    for name in ("ans0", "ans1", "ans2"):
        told = [str(one).lower() for one in row["answer_info"][name]]
        if told[-1] != "unknown":
            by_target[bool(groups & set(told))] = str(row[name])
    if len(by_target) == 2:
        asked = f"{row['context']} {row['question']}"
        blamed = row["question_polarity"] == "neg"
        unit = f"{row['category']} {row['question_index']}"
        yield Pair(f"{asked} {by_target[blamed]}", f"{asked} {by_target[not blamed]}", unit)


def _winobias(path: Path) -> Iterator[Pair]:
    other = path.with_name(path.name.replace("pro_", "anti_", 1))
    if not other.is_file():
        raise DataError(f"{path} is half of WinoBias: {other.name} must lie beside it.")
    for number, (pro, anti) in enumerate(zip(_text(path).splitlines(), _text(other).splitlines(), strict=True), 1):
        told = [re.sub(r"^\d+ |[\[\]]", "", line) for line in (pro, anti)]
        yield Pair(told[0], told[1], f"{number}")


def _winogender(path: Path) -> Iterator[Pair]:
    """Sentences whose pronoun is the occupation's; stereotyping is the gender that most have who work in it."""
    statistics = path.with_name("occupations-stats.tsv")
    if not statistics.is_file():
        raise DataError(f"{path} is half of Winogender: {statistics.name} must lie beside it.")
    told = csv.DictReader(io.StringIO(_text(statistics)), delimiter="\t")
    women = {row["occupation"]: float(row["bls_pct_female"]) for row in told}
    sentences: dict[str, dict[str, str]] = {}
    for row in csv.DictReader(io.StringIO(_text(path)), delimiter="\t"):
        occupation, participant, answer, gender, *_ = row["sentid"].split(".")
        if answer == "0" and occupation in women:
            sentences.setdefault(f"{occupation}.{participant}", {})[gender] = row["sentence"]
    for key, by_gender in sentences.items():
        usual, other = ("female", "male") if women[key.split(".")[0]] > 50 else ("male", "female")
        yield Pair(by_gender[usual], by_gender[other], key.split(".")[0])


def _stereoset(path: Path) -> Iterator[Pair]:
    try:
        data = json.loads(_text(path))["data"]
    except (ValueError, KeyError, TypeError) as problem:
        raise DataError(f"{path.name} is no StereoSet: a JSON object with 'data' is expected.") from problem
    for part in ("intrasentence", "intersentence"):
        for item in data.get(part, ()):
            by_label = {one["gold_label"]: one["sentence"] for one in item["sentences"]}
            lead = f"{item['context']} " if part == "intersentence" else ""
            yield Pair(lead + by_label["stereotype"], lead + by_label["anti-stereotype"], str(item["target"]))
