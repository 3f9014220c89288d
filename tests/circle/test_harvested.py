"""Harvested rows keep their side, and those that belong together share one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sonneteer.circle.harvested import put, read, side_of
from sonneteer.recipe.sections import DataSettings
from sonneteer.records import KEPT, fingerprint_of
from sonneteer.records.rows import Row

SETTINGS = DataSettings(sources=())
WORDS = [
    "wood",
    "oil",
    "lamp",
    "desk",
    "sofa",
    "ring",
    "vase",
    "kite",
    "drum",
    "coat",
    "shoe",
    "book",
    "door",
    "wall",
    "roof",
    "road",
]


def row(number: int, asked: str, answer: str = "Twice a year, with linseed oil.", **tags: Any) -> Row:
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    own = {"exchange": f"e{number}", "conversation": fingerprint_of(number), "time": f"2026-01-01T00:00:{number:06}"}
    return {"messages": turns, "tags": own | tags}


def different(number: int) -> str:
    return " ".join(WORDS[(number * 7 + place * (1 + number % 5)) % 16] + str(number) for place in range(8))


def placed(folder: Path) -> dict[str, str]:
    return {one["tags"]["exchange"]: side for side in KEPT for one in read(folder / f"{side}.jsonl")}


def test_a_conversation_always_draws_the_same_side_and_each_side_gets_its_share() -> None:
    settings = DataSettings(sources=(), validation_share=0.1, test_share=0.2)
    sides = [side_of(fingerprint_of(number), settings) for number in range(4000)]
    assert sides == [side_of(fingerprint_of(number), settings) for number in range(4000)]
    assert sides.count("test") / 4000 == pytest.approx(0.2, abs=0.02)
    assert sides.count("validation") / 4000 == pytest.approx(0.1, abs=0.02)


def test_what_many_people_ask_alike_is_on_one_side_and_can_be_learned(tmp_path: Path) -> None:
    rows = [row(number, f"How often may I oil it, {'please' * (number % 2)}?") for number in range(40)]
    assert put(tmp_path, rows, (), SETTINGS) == 40
    assert set(placed(tmp_path).values()) == {"train"}


def test_what_differs_is_drawn_by_itself(tmp_path: Path) -> None:
    put(tmp_path, [row(number, different(number), different(number + 99)) for number in range(200)], (), SETTINGS)
    assert set(placed(tmp_path).values()) == set(KEPT)


def test_a_row_keeps_its_side_whatever_comes_later_and_what_is_like_it_follows(tmp_path: Path) -> None:
    put(tmp_path, [row(number, different(number), different(number + 99)) for number in range(200)], (), SETTINGS)
    before = placed(tmp_path)
    sealed = next(int(id[1:]) for id, side in before.items() if side == "test")
    again = [row(300 + extra, different(sealed), different(sealed + 99)) for extra in range(5)]
    older = row(400, different(sealed), different(sealed + 99), time="2025-01-01T00:00:00")
    put(tmp_path, [*again, older], (), SETTINGS)
    after = placed(tmp_path)
    assert {id: after[id] for id in before} == before
    assert {after[f"e{number}"] for number in (*range(300, 305), 400)} == {"test"}


def test_a_corrected_correction_replaces_its_row_and_a_refused_one_goes(tmp_path: Path) -> None:
    put(tmp_path, [row(1, "Where is it?"), row(2, "Who made this?")], (), SETTINGS)
    assert put(tmp_path, [row(1, "Where is it?", "Here.")], ["e2"], SETTINGS) == 1
    assert [one["messages"][1]["content"] for side in KEPT for one in read(tmp_path / f"{side}.jsonl")] == ["Here."]


def test_a_conversation_is_on_one_side_though_one_of_its_questions_is_also_that_of_another(tmp_path: Path) -> None:
    sealed, learned = (
        next(number for number in range(999) if side_of(fingerprint_of(number), SETTINGS) == side)
        for side in ("test", "train")
    )
    first = row(sealed, different(1), different(2), time="2025-01-01T00:00:00")
    again = row(learned, different(1), different(2))
    more = row(1000, different(3), different(4), conversation=again["tags"]["conversation"])
    put(tmp_path, [first, again, more], (), SETTINGS)
    assert len(set(placed(tmp_path).values())) == 1
