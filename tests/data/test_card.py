"""The data card tells what a data set holds, and keeps its words to itself."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import get_args

import pytest

from sonneteer.data import prepare, write_card
from sonneteer.data.bias import bias_of, wilson
from sonneteer.data.card import FATES, MASK, facts_of
from sonneteer.data.topics import topics_of
from sonneteer.recipe.sections import BalanceSettings, CleanSettings, SourceSettings
from sonneteer.records import Example, Fate, Message
from sonneteer.store import Store
from tests.data.writing import WordReader, question, recipe_of, write_lines

THINGS = {"delivery": "parcel courier doorstep tracking", "billing": "invoice payment refund amount"}


def asked(rng: random.Random, topic: str) -> str:
    return " ".join(rng.choices(THINGS[topic].split(), k=6))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "workspace")


def test_the_card_tells_all_and_shows_no_rare_word(tmp_path: Path, store: Store) -> None:
    rng = random.Random(1)
    rows = [
        {
            "prompt": f"{asked(rng, topic)} {i}",
            "completion": f"Dear Xanthippe{i}, <b>she</b> is the nurse",
            "topic": topic,
        }
        for i, topic in enumerate(["delivery", "billing"] * 60)
    ]
    write_lines(tmp_path / "a.jsonl", [*rows, rows[0], "torn"])
    recipe = recipe_of(SourceSettings(path="a.jsonl", licence="CC BY 4.0"))
    dataset = prepare(recipe, tmp_path, store, WordReader())
    card = write_card(store, dataset, tmp_path / "card.html", tmp_path)
    page, figures = card.page.read_text(), json.loads(card.figures.read_text())
    assert "CC BY 4.0" in page
    assert "Xanthippe" not in page + card.figures.read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert {fate["fate"]: fate["rows"] for fate in figures["fates"]} == dataset.totals
    assert {tuple(line["by_side"].values()) for line in figures["tags"] if line["tag"] == "topic"}
    (women,) = figures["bias"]["axes"][0]["groups"]
    assert (women["name"], women["examples"], women["beside"][1]["share"]) == ("women", 120, 1.0)
    assert figures["topics"]
    assert {dot["topic"] for dot in figures["map"]} == set(range(len(figures["topics"])))
    assert all(0 <= dot[axis] <= 1 for dot in figures["map"] for axis in ("x", "y"))
    assert page.count("<circle") == len(figures["map"]) == sum(dataset.splits[side].examples for side in dataset.splits)


def test_lost_rows_are_shown_masked_unless_they_may_be_like_something_sealed(tmp_path: Path, store: Store) -> None:
    rows = [{"prompt": f"Who made number {i}?", "completion": f"She did, {i} times."} for i in range(40)]
    lost = {"prompt": "Who made Xanthippe number 3?", "completion": "As an AI language model, I did."}
    write_lines(tmp_path / "a.jsonl", [*rows, lost, rows[3]])
    recipe = recipe_of("a.jsonl", clean=CleanSettings(boilerplate="drop"))
    dataset = prepare(recipe, tmp_path, store, WordReader())

    def shown() -> dict[str, str]:
        fates = facts_of(store, dataset, tmp_path)["fates"]
        return {fate["fate"]: fate["shown"][0]["text"] for fate in fates if fate["shown"]}

    hidden = " ".join([MASK] * 5)
    assert shown() == {"dropped": f"Who made {MASK} number {MASK}? {hidden}, {MASK} did.", "duplicate": ""}
    write_lines(tmp_path / "a.jsonl", [*rows, rows[3], lost])
    assert not any(shown().values()), "the file is no longer what was read"


def test_the_card_knows_every_fate() -> None:
    assert set(FATES) == set(get_args(Fate))


def test_a_data_set_of_a_few_rows_has_a_card_too(tmp_path: Path, store: Store) -> None:
    write_lines(tmp_path / "a.jsonl", [question(i) for i in range(9)])
    dataset = prepare(recipe_of("a.jsonl"), tmp_path, store, WordReader())
    assert facts_of(store, dataset, tmp_path)["topics"] == []
    assert "not stated in the recipe" in write_card(store, dataset, tmp_path / "card.html", tmp_path).page.read_text()


def test_swapped_copies_are_told_and_places_begin_where_the_sources_part(tmp_path: Path, store: Store) -> None:
    (tmp_path / "deep").mkdir()
    rows = [{"prompt": f"Who made number {i}?", "completion": f"She did, {i} times."} for i in range(20)]
    write_lines(tmp_path / "deep" / "a.jsonl", [*rows, rows[3]])
    recipe = recipe_of(str(tmp_path / "deep" / "a.jsonl"), balance=BalanceSettings(swaps=("gender",)))
    dataset = prepare(recipe, tmp_path, store, WordReader())
    assert dataset.copies == dataset.totals["train"]
    facts, page = (
        facts_of(store, dataset, tmp_path),
        write_card(store, dataset, tmp_path / "card.html", tmp_path).page.read_text(),
    )
    (shown,) = (fate["shown"] for fate in facts["fates"] if fate["shown"])
    assert shown == [{"place": "a.jsonl:21: says the same as a.jsonl:4", "text": ""}]
    assert f"{dataset.copies} are copies with groups of people swapped" in page


def test_topics_and_drift_find_what_was_planted() -> None:
    rng = random.Random(2)
    topics = ["delivery"] * 100 + ["billing"] * 100
    texts = [asked(rng, topic) for topic in topics]
    drifting = topics_of(texts, ["train"] * 200, ["a"] * 100 + ["b"] * 100)
    assert not drifting.drift[0].is_chance
    assert drifting.drift[0].divergence > 0.9
    mixed = topics_of(texts, ["train"] * 200, ["a", "b"] * 100)
    assert mixed.drift[0].divergence < 0.1
    sealed = topics_of(texts, ["train"] * 100 + ["test"] * 100, ["a"] * 200)
    assert all("missing in" in topic.doubt for topic in sealed.topics)


def test_intervals_hold_the_share_and_shrink_with_the_examples() -> None:
    low, high = wilson(3, 10)
    assert low < 0.3 < high
    assert wilson(300, 1000)[1] - wilson(300, 1000)[0] < high - low
    assert wilson(0, 0) == (0.0, 1.0)
    assert (round(wilson(1, 10)[0], 4), round(wilson(1, 10)[1], 4)) == (0.0179, 0.4042)  # as R's prop.test gives it


def said(text: str) -> Example:
    return Example(messages=(Message(role="assistant", text=text),), is_text=True)


def test_words_pronouns_and_names_are_mentions() -> None:
    found = bias_of(
        [said("She is a nurse."), said("Thank you, Mary Miller."), said("Mr. Yusuf Demir came."), said("Yes.")]
    )
    counts = {(axis.name, group.name): group.examples for axis in found.axes for group in axis.groups}
    assert counts == {
        ("gender", "women"): 2,
        ("gender", "men"): 1,
        ("name's origin", "English"): 1,
        ("name's origin", "Turkish"): 1,
    }
    assert (found.everybody.examples, found.everybody.beside[1].examples) == (4, 1)


def test_a_difference_beyond_chance_is_said_and_one_within_is_not() -> None:
    def gender(angry_women: int, angry_men: int) -> list[str]:
        texts = ["She is angry."] * angry_women + ["She is here."] * (100 - angry_women)
        texts += ["He is angry."] * angry_men + ["He is here."] * (100 - angry_men)
        return bias_of([said(text) for text in texts]).axes[0].differs

    assert gender(10, 12) == []
    assert gender(5, 30) == ["negative words stand beside men in 30% of their examples, and beside women in 5%"]


def test_what_the_sample_is_too_small_for_is_said() -> None:
    axis = bias_of([said("An old man."), *[said("He is here.")] * 50, *[said("She is here.")] * 60]).axes
    assert "differences of about" in axis[0].cannot_show[0]
    assert axis[1].cannot_show[0].startswith("Nobody speaks of young")
    assert axis[1].cannot_show[1] == "Too few examples speak of old (1) to say anything of them."


def test_what_is_beyond_the_cap_is_dropped_whatever_the_order(tmp_path: Path, store: Store) -> None:
    rows = [question(i, topic="a" if i < 30 else "b") for i in range(40)]
    kept = []
    for order in (rows, rows[::-1]):
        write_lines(tmp_path / "a.jsonl", order)
        dataset = prepare(
            recipe_of("a.jsonl", balance=BalanceSettings(by="topic", most=12)), tmp_path, store, WordReader()
        )
        assert dataset.tag_counts["topic"] == {"a": 12, "b": 10}
        assert dataset.totals["dropped"] == 18
        kept.append({side: split.fingerprint for side, split in dataset.splits.items()})
    assert kept[0] == kept[1]


def test_a_value_with_too_few_examples_fails_the_preparation(tmp_path: Path, store: Store) -> None:
    write_lines(tmp_path / "a.jsonl", [question(i, topic="a" if i < 30 else "b") for i in range(40)])
    with pytest.raises(Exception, match=r"topic 'b' has 10 examples, but data\.balance\.fewest is 20"):
        prepare(recipe_of("a.jsonl", balance=BalanceSettings(by="topic", fewest=20)), tmp_path, store, WordReader())
