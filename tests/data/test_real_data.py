"""Real public files with all their oddities, where they lie beside the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sonneteer.data import prepare, read_split
from sonneteer.recipe.sections import SourceSettings
from sonneteer.records import KEPT, DatasetVersion
from sonneteer.store import Store
from tests.data.writing import WordReader, recipe_of

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


def prepared(folder: Path, name: str, **settings: Any) -> tuple[Store, DatasetVersion]:
    if not (SHARED / name).exists():
        pytest.skip(f"{name} is not beside the checkout")
    store = Store(folder / "workspace")
    source = SourceSettings(path=name, fields=settings.pop("fields", {}))
    return store, prepare(recipe_of(source, **settings), SHARED, store, WordReader())


@pytest.mark.parametrize(
    ("name", "shape", "rows"),
    [
        ("customer_service/bitext/bitext_v2_long.jsonl.gz", "alpaca", 4514),
        ("customer_service/banking77/test.jsonl", "text", 3080),
        ("preference/hh_rlhf_helpful_test/pairs.jsonl.gz", "preference", 2348),
        ("preference/gsm8k_solutions/pairs.jsonl", "preference", 731),
        ("rl_verifiable/gsm8k/test.jsonl.gz", "prompt-completion", 1319),
        ("content_general/dolly_3k/dolly_3k.jsonl.gz", "alpaca", 2996),
        ("pretrain/african_storybook/stories_en.jsonl", "text", 316),
    ],
)
def test_a_real_file_is_recognised_and_every_row_has_its_fate(tmp_path: Path, name: str, shape: str, rows: int) -> None:
    store, dataset = prepared(tmp_path, name, max_tokens=4096)
    assert dataset.sources[0].format == shape
    assert dataset.rows == dataset.sources[0].rows == rows
    assert set(dataset.totals) <= {*KEPT, "duplicate"}
    asked = [{e.prompt for e in read_split(store, dataset, side) if not e.is_text} for side in KEPT]
    assert sum(len(prompts) for prompts in asked) == len(set().union(*asked))


def test_classes_are_learned_when_the_fields_say_so(tmp_path: Path) -> None:
    fields = {"prompt": "text", "completion": "label"}
    store, dataset = prepared(tmp_path, "customer_service/banking77/test.jsonl", fields=fields)
    assert dataset.sources[0].format == "prompt-completion"
    assert len({example.answer.text for example in read_split(store, dataset, "train")}) == 77


def test_human_preferences_that_part_before_the_last_answer_are_broken(tmp_path: Path) -> None:
    _, dataset = prepared(tmp_path, "preference/hh_rlhf_harmless_test/test.jsonl.gz", max_tokens=4096)
    assert dataset.totals["broken"] == 9
    assert dataset.rows == 2312
