"""Forget a person: their rows leave every data set, report and journal, and what had learned from them is named."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as arrow
import pyarrow.parquet as parquet

from sonneteer.data import ledger as book
from sonneteer.data import private
from sonneteer.data.candidates import Outcome, RowStep
from sonneteer.data.contents import Content, fingerprints
from sonneteer.data.freeze import LEARNED, TOKENS, tag_counts_of
from sonneteer.privacy import digest_of
from sonneteer.records import DatasetVersion, Example, ModelVersion, Report, Run, Split, SplitName, fingerprint_of
from sonneteer.store import Store, write_whole

REASON = "this person asked to be forgotten"
DEED = "forget"
PARTIAL = "partial"
"""The folder of a workspace in which interrupted preparations keep what they have done."""


class Forgotten(NamedTuple):
    """What a person's leaving touched."""

    rows: int
    datasets: tuple[str, ...]
    runs: tuple[str, ...]
    models: tuple[str, ...]
    """They have learned from the person's rows, and are marked: train them again."""
    dossiers: tuple[Path, ...]
    """Pages that may show the person's words; they are gone, and can be written again."""


class _Thinned(NamedTuple):
    split: Split
    """Its fingerprint is that of the whole: `contents` give the new one."""
    tokens: int | None
    learned_tokens: int | None
    """Of the rows that are left; nothing where the file does not tell."""
    ids: set[str]
    """Of the rows that are gone."""
    contents: list[Content]
    """Of those that are left."""


def forget(store: Store, person: str) -> Forgotten:
    """Take out all that carries this tag `person`. The audit log remembers a digest of it, and `prepare` obeys."""
    digest = digest_of(person, store.private_key())
    store.note_deed(DEED, f"person/{digest}", "")
    rows, touched, dossiers = 0, [], []
    old = _named(store)
    for dataset in store.find(DatasetVersion):
        thinned = {side: _without(store, split, {person, digest}) for side, split in dataset.splits.items()}
        ids = set[str]().union(*(part.ids for part in thinned.values()))
        if ids:
            rows += len(ids)
            touched.append(dataset.id)
            _replace(store, dataset, thinned, ids)
            _clean_reports(store, dataset.id, ids)
            dossiers += _removed(store.root.glob(f"{dataset.name}-dossier.*"))
    shutil.rmtree(store.root / PARTIAL, ignore_errors=True)
    for journal in store.root.glob("synthesis/*.jsonl"):
        write_whole(journal, _lines_without(journal, {json.dumps(one) for one in (person, digest)}))
    runs = [run for id in touched for run in store.find(Run, dataset_id=id)]
    models = [model for id in touched for model in store.find(ModelVersion, dataset_id=id)]
    for model in models:
        store.save(model.model_copy(update={"retrain_because": REASON}))
    _removed(store.path(name) for name in old - _named(store))
    names = ([run.id for run in runs], [model.id for model in models])
    return Forgotten(rows, tuple(touched), tuple(names[0]), tuple(names[1]), tuple(dossiers))


def forgotten_people(store: Store) -> frozenset[str]:
    """Digests of those who were forgotten in this workspace."""
    deeds = (entry.subject for entry in store.audit_log() if entry.action == DEED)
    return frozenset(subject.removeprefix("person/") for subject in deeds)


def without_forgotten(digests: frozenset[str], key: bytes) -> RowStep:
    """The step that loses the rows of those who asked to be forgotten."""

    def step(example: Example) -> Outcome:
        person = example.tags.get("person")
        is_theirs = bool(digests) and person is not None and digest_of(person, key) in digests
        return Outcome(None, REASON, "private") if is_theirs else Outcome(example)

    return step


def _without(store: Store, split: Split, persons: set[str]) -> _Thinned:
    table = parquet.read_table(store.path(split.file))
    ids: list[str] = table["id"].to_pylist()
    rows = [json.loads(line) for line in table["example"].to_pylist()]
    contents = [Content(id, row.get("reference", {}), row.get("tags", {})) for id, row in zip(ids, rows, strict=True)]
    is_theirs = [content.tags.get("person") in persons for content in contents]
    kept = table.filter(arrow.array([not theirs for theirs in is_theirs], arrow.bool_()))
    tokens, learned_tokens = (_sum(kept, column) for column in (TOKENS, LEARNED))
    if not any(is_theirs):
        return _Thinned(split, tokens, learned_tokens, set(), contents)
    buffer = io.BytesIO()
    parquet.write_table(kept, buffer, compression="zstd")
    thinner = split.model_copy(update={"file": store.put(buffer.getvalue(), "parquet"), "examples": kept.num_rows})
    left = [content for content, theirs in zip(contents, is_theirs, strict=True) if not theirs]
    return _Thinned(
        thinner, tokens, learned_tokens, {id for id, theirs in zip(ids, is_theirs, strict=True) if theirs}, left
    )


def _sum(table: arrow.Table, column: str) -> int | None:
    return sum(table[column].to_pylist()) if column in table.column_names else None


def _replace(store: Store, dataset: DatasetVersion, thinned: Mapping[SplitName, _Thinned], ids: set[str]) -> None:
    """The version keeps its name and loses the rows; another version, of what is left, is what trains from now on."""
    names = fingerprints({side: part.contents for side, part in thinned.items()})
    splits = {side: part.split.model_copy(update={"fingerprint": names[side]}) for side, part in thinned.items()}
    entries = [
        entry.model_copy(update={"fate": "private", "reason": REASON, "example_id": None, "remarks": ()})
        if entry.example_id in ids
        else entry
        for entry in book.from_bytes(store.path(dataset.ledger_file).read_bytes())
    ]
    totals: dict[str, int] = {}
    for entry in entries:
        totals[entry.fate] = totals.get(entry.fate, 0) + 1
    ledger_file = store.put(book.to_bytes(entries), "jsonl")
    redacted_rows, redacted = private.redacted(entries)
    update = {
        "splits": splits,
        "ledger_file": ledger_file,
        "totals": totals,
        "redacted": redacted,
        "redacted_rows": redacted_rows,
        "tag_counts": tag_counts_of(content.tags for part in thinned.values() for content in part.contents),
        "token_counts": {side: part.tokens for side, part in thinned.items() if part.tokens is not None},
        "learned_token_counts": {
            side: part.learned_tokens for side, part in thinned.items() if part.learned_tokens is not None
        },
    }
    id = fingerprint_of([dataset.name, {side: split.fingerprint for side, split in splits.items()}, ledger_file])
    store.save(dataset.model_copy(update=update))
    store.save(dataset.model_copy(update={**update, "id": id, "created_at": datetime.now(UTC)}))


def _clean_reports(store: Store, dataset_id: str, ids: set[str]) -> None:
    for run in store.find(Run, dataset_id=dataset_id):
        for journal in store.folder(run.id).glob("*.jsonl"):
            write_whole(journal, _lines_without(journal, ids))
    for report in store.find(Report, dataset_id=dataset_id):
        shown = tuple(one for one in report.side_by_side if one.example_id not in ids)
        answers = store.put(_lines_without(store.path(report.answers_file), ids), "jsonl")
        store.save(report.model_copy(update={"side_by_side": shown, "answers_file": answers}))


def _lines_without(path: Path, ids: set[str]) -> bytes:
    lines = path.read_bytes().split(b"\n")
    return b"\n".join(line for line in lines if not any(id.encode() in line for id in ids))


def _removed(paths: Iterable[Path]) -> list[Path]:
    listed = list(paths)
    for path in listed:
        path.unlink(missing_ok=True)
    return listed


def _named(store: Store) -> set[str]:
    """The files that records name."""
    datasets = store.find(DatasetVersion)
    splits = {split.file for dataset in datasets for split in dataset.splits.values()}
    return (
        splits | {dataset.ledger_file for dataset in datasets} | {report.answers_file for report in store.find(Report)}
    )
