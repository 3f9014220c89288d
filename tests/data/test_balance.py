"""Weights of a tag's values in the loss, and copies with groups swapped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sonneteer.data import check, prepare, read_ledger, read_split
from sonneteer.errors import RecipeError
from sonneteer.recipe.sections import BalanceSettings
from sonneteer.records import DatasetVersion
from sonneteer.store import Store
from tests.data.writing import WordReader, question, recipe_of, write_lines

ROWS = [
    *(question(number, topic="refunds" if number % 4 == 0 else "other") for number in range(40)),
    *({"prompt": f"Has my sister order number {n}?", "completion": f"She has {n}."} for n in range(100, 120)),
    {"prompt": "Has my brother order number 100?", "completion": "He has, as you know."},
]


def prepared(folder: Path, **balance: Any) -> tuple[DatasetVersion, Store]:
    write_lines(folder / "x.jsonl", ROWS)
    store = Store(folder / "workspace")
    recipe = recipe_of("x.jsonl", balance=BalanceSettings.model_validate(balance))
    return prepare(recipe, folder, store, WordReader()), store


def test_weights_reach_what_is_learned_and_nothing_else(tmp_path: Path) -> None:
    dataset, store = prepared(tmp_path, by="topic", weights={"refunds": 2.5})
    for side in ("train", "validation", "test"):
        for example in read_split(store, dataset, side):  # type: ignore[arg-type]
            is_heavy = side == "train" and example.tags.get("topic") == "refunds"
            assert [message.weight for message in example.messages] == [1.0, 2.5 if is_heavy else 1.0]
    assert check(store, dataset, recipe_of("x.jsonl").data).is_clean


def test_a_weight_of_what_no_example_is_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="Did you mean 'refunds'"):
        prepared(tmp_path, by="topic", weights={"refund": 2})
    with pytest.raises(ValueError, match="must be above 0"):
        BalanceSettings(by="topic", weights={"refunds": 0})
    with pytest.raises(ValueError, match=r"need data\.balance\.by"):
        BalanceSettings(weights={"refunds": 2})


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"stratify_by": "topik"}, "data.stratify_by"),
        ({"keep_together": ("person", "topik")}, "data.keep_together"),
        ({"balance": BalanceSettings(by="topik", most=3)}, "data.balance.by"),
    ],
)
def test_a_tag_that_no_example_has_is_refused(tmp_path: Path, settings: dict[str, Any], named: str) -> None:
    write_lines(tmp_path / "x.jsonl", [question(i, topic="a") for i in range(9)])
    with pytest.raises(RecipeError, match=rf"{named}: no example has the tag 'topik'. Did you mean 'topic'?"):
        prepare(recipe_of("x.jsonl", **settings), tmp_path, Store(tmp_path / "workspace"), WordReader())


def test_copies_with_groups_swapped_are_learned_and_leak_nothing(tmp_path: Path) -> None:
    dataset, store = prepared(tmp_path, swaps=("gender",))
    learned = read_split(store, dataset, "train")
    copies = [one for one in learned if one.tags.get("swapped") == "gender: women / men"]
    originals = [one for one in learned if "sister" in one.messages[0].text]
    assert len(originals) - 2 <= len(copies) <= len(originals) + 1
    assert all("brother" in one.messages[0].text and one.answer.text.startswith("He has") for one in copies[:1])
    assert not any("swapped" in one.tags for side in ("validation", "test") for one in read_split(store, dataset, side))  # type: ignore[arg-type]
    proof = check(store, dataset, recipe_of("x.jsonl").data)
    assert proof.is_clean, proof
    remarks = [entry.remarks for entry in read_ledger(store, dataset) if entry.remarks]
    assert sum("learned with groups swapped, too: 1" in told for told in remarks) == len(copies)
