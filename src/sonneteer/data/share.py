"""A share of the training examples as a data set of its own: what a learning curve is made of."""

from __future__ import annotations

import hashlib
import io
import math

import pyarrow.parquet as parquet

from sonneteer.records import DatasetVersion, Split, fingerprint_of
from sonneteer.store import Store


def share_of(store: Store, dataset: DatasetVersion, share: float) -> DatasetVersion:
    """So much of the training examples, drawn by a hash of their content: a smaller share lies within a larger one.
    What watches and what is sealed stays the same."""
    whole = dataset.splits["train"]
    table = parquet.read_table(store.path(whole.file))
    ids: list[str] = table["id"].to_pylist()
    order = sorted(range(len(ids)), key=lambda i: hashlib.sha256(f"share-{ids[i]}".encode()).digest())
    chosen = sorted(order[: max(1, math.ceil(share * len(ids)))])
    buffer = io.BytesIO()
    parquet.write_table(table.take(chosen), buffer, compression="zstd")
    part = Split(
        file=store.put(buffer.getvalue(), "parquet"),
        examples=len(chosen),
        fingerprint=fingerprint_of([whole.fingerprint, sorted(ids[i] for i in chosen)]),
    )
    origin = fingerprint_of([dataset.id, share])
    smaller = dataset.model_copy(
        update={
            "id": fingerprint_of([dataset.id, part.fingerprint]),
            "prepared_from": origin,
            "splits": dataset.splits | {"train": part},
            "token_counts": {side: count for side, count in dataset.token_counts.items() if side != "train"},
            "learned_token_counts": {
                side: count for side, count in dataset.learned_token_counts.items() if side != "train"
            },
        }
    )
    if not store.find(DatasetVersion, id=smaller.id):
        store.save(smaller)
    return smaller
