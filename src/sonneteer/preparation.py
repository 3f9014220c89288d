"""The first stage, rows that become a data set, and all that can be asked of it. Loads no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sonneteer import data
from sonneteer.backends.reader import BaseReader
from sonneteer.progress import Progress
from sonneteer.recipe import LoadedRecipe
from sonneteer.records import DatasetVersion, LedgerEntry
from sonneteer.store import Store


class Account(NamedTuple):
    """What became of the rows, and why nothing was frozen, where that is so."""

    entries: Sequence[LedgerEntry]
    problem: str = ""


def prepare(loaded: LoadedRecipe, store: Store, progress: Progress) -> DatasetVersion:
    """Raw rows become a frozen, split data set with its ledger."""
    progress.stage("preparing")
    with store.writing(f"data-{loaded.recipe.name}"):
        return data.prepare(loaded.recipe, loaded.folder, store, BaseReader(loaded.recipe, loaded.folder), progress)


def check(loaded: LoadedRecipe, store: Store, dataset: DatasetVersion, progress: Progress) -> data.Proof:
    """Proof from the frozen files that no side of the split knows another."""
    progress.stage("checking")
    return data.check(store, dataset, loaded.recipe.data)


def ledger(loaded: LoadedRecipe, store: Store, progress: Progress) -> Account:
    """What became of every source row; of those that the recipe refuses, too."""
    try:
        return Account(data.read_ledger(store, prepare(loaded, store, progress)))
    except data.RefusedError as refused:
        return Account(refused.entries, refused.problem)


def card(loaded: LoadedRecipe, store: Store, progress: Progress) -> data.Card:
    """The data card: a page for people, and its figures as JSON."""
    dataset = prepare(loaded, store, progress)
    progress.stage("writing the card")
    return data.write_card(store, dataset, store.root / f"{loaded.recipe.name}-data-card.html", loaded.folder)


def diff(store: Store, before: str, after: str) -> list[data.Change]:
    """What changed between two data sets, named by their ids."""
    return data.changes(store, store.get(DatasetVersion, before), store.get(DatasetVersion, after))
