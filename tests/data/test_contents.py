"""The name of a side says what its rows hold, whatever the key of the workspace and the order of the rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonneteer.data import forget, prepare, read_split, sources
from sonneteer.data.contents import Content, fingerprints
from sonneteer.privacy import digest_of, make_vault
from sonneteer.recipe.sections import BalanceSettings, PrivacySettings, Recipe
from sonneteer.records import KEPT, DatasetVersion
from sonneteer.store import Store
from tests.data.writing import WordReader, question, recipe_of, write_lines

KEYS = (b"a" * 32, b"b" * 32)
people = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=12)


def content(text: int, person: int, key: bytes) -> Content:
    return Content(str(text), {}, {"person": digest_of(str(person), key), "topic": "t"})


@given(rows=people, order=st.randoms())
def test_neither_the_key_nor_the_order_is_seen(rows: list[tuple[int, int]], order: object) -> None:
    one = [content(*row, KEYS[0]) for row in rows]
    other = [content(*row, KEYS[1]) for row in rows]
    order.shuffle(other)  # type: ignore[attr-defined]
    assert fingerprints({"train": one}) == fingerprints({"train": other})


def test_who_belongs_together_is_seen() -> None:
    rows = [(text, person) for text, person in enumerate([0, 0, 1, 1])]
    ways = itertools.product(range(4), repeat=4)
    names = {
        tuple(persons): fingerprints({"train": (content(i, p, KEYS[0]) for i, p in enumerate(persons))})["train"]
        for persons in ways
    }

    def partition(persons: Iterable[int]) -> tuple[int, ...]:
        listed = list(persons)
        return tuple(listed.index(person) for person in listed)

    assert len(rows) == 4
    for one, other in itertools.combinations(names, 2):
        assert (names[one] == names[other]) == (partition(one) == partition(other))


def test_who_is_on_two_sides_is_seen() -> None:
    def names(other: int) -> dict[object, str]:
        return dict(fingerprints({"train": [content(0, 0, KEYS[0])], "test": [content(1, other, KEYS[0])]}))

    assert names(0) != names(1)


@pytest.mark.parametrize("change", [{"id": "2"}, {"reference": {"value": 1}}, {"tags": {"topic": "u"}}])
def test_all_else_is_seen(change: dict[str, object]) -> None:
    one = Content("1", {}, {"topic": "t"})
    assert fingerprints({"train": [one]}) != fingerprints({"train": [one._replace(**change)]})  # type: ignore[arg-type]


# Two workspaces, each with its own key ----------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rows of several people, in several parts, some with personal data in their texts and tags."""
    monkeypatch.setattr(sources, "AT_ONCE", 9)
    rows = [question(number) | {"person": f"p{number % 12}@example.org"} for number in range(48)]
    rows += [
        {"prompt": f"I am p{n}@example.org", "completion": f"Hello {n}", "group": f"ann{n}@example.org"}
        for n in range(9)
    ]
    write_lines(tmp_path / "x.jsonl", rows)
    return tmp_path


def prepared(folder: Path, workspace: str, recipe: Recipe) -> DatasetVersion:
    return prepare(recipe, folder, Store(folder / workspace), WordReader())


def ids(folder: Path, workspace: str, dataset: DatasetVersion) -> dict[str, list[str]]:
    return {side: [one.id for one in read_split(Store(folder / workspace), dataset, side)] for side in KEPT}


@pytest.mark.parametrize(
    "settings",
    [
        {"processes": 1},
        {"processes": 3},
        {"balance": BalanceSettings(by="person", most=3)},
        {"keep_together": (), "stratify_by": "person"},
    ],
)
def test_two_workspaces_give_the_same_version_and_the_same_splits(folder: Path, settings: dict[str, object]) -> None:
    recipe = recipe_of("x.jsonl", **settings)
    one, other = prepared(folder, "one", recipe), prepared(folder, "other", recipe)
    assert one.splits["train"].file != other.splits["train"].file  # the digests within are under other keys
    assert one.id == other.id
    assert {side: split.fingerprint for side, split in one.splits.items()} == {
        side: split.fingerprint for side, split in other.splits.items()
    }
    assert ids(folder, "one", one) == ids(folder, "other", other)
    assert (
        forget(Store(folder / "one"), "p3@example.org").rows
        == forget(Store(folder / "other"), "p3@example.org").rows
        > 0
    )
    left = [Store(folder / name).latest(DatasetVersion, one.name) for name in ("one", "other")]
    assert left[0] is not None
    assert left[1] is not None
    assert left[0].id == left[1].id != one.id


def test_with_one_vault_pseudonyms_are_the_same_everywhere_and_with_another_the_version_differs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SONNETEER_VAULT_PASSPHRASE", "one two three")
    versions = []
    for workspace, vault in (("one", "a.vault"), ("other", "a.vault"), ("third", "b.vault")):
        if not (folder / vault).exists():
            make_vault(folder / vault, b"one two three")
        privacy = PrivacySettings(emails="pseudonymise", vault=vault)
        versions.append(prepared(folder, workspace, recipe_of("x.jsonl").model_copy(update={"privacy": privacy})))
    assert versions[0].id == versions[1].id != versions[2].id
