"""What people said of live answers becomes something to learn, once it is approved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sonneteer.data import prepare, read_split
from sonneteer.errors import DataError
from sonneteer.records import KEPT, Example, Exchange, Feedback, Message, Prompt, ToolCall
from sonneteer.store import Store
from tests.data.writing import WordReader, recipe_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "workspace")
    call = Message(role="assistant", tool_calls=(ToolCall(id="c", name="find", arguments={"n": 1}),))
    turns = (Message(role="user", text="Where is it?"), call, Message(role="tool", text="Leeds", tool_call_id="c"))
    for number in range(6):
        asked = (*turns, Message(role="user", text=f"And number {number}?"))
        exchange = Exchange(
            id=f"m{number}",
            name="support",
            model_id="support-1",
            conversation=f"k{number}",
            created_at=NOON + timedelta(minutes=number),
            prompt=Prompt(messages=asked),
            answer=Message(role="assistant", text=f"Answer {number}"),
            seconds=1,
        )
        store.traffic.keep([exchange])
    return store


def say(store: Store, number: int, opinion: str = "approved", minutes: int = 0, **said: Any) -> None:
    at = NOON + timedelta(minutes=minutes)
    values = {"id": f"f{number}-{minutes}", "exchange_id": f"m{number}", "name": "support", "created_at": at}
    store.traffic.say(Feedback.model_validate({**values, "opinion": opinion, **said}))


def learned(store: Store, folder: Path) -> dict[str, Example]:
    recipe = recipe_of("traffic:support", test_share=0, validation_share=0)
    recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update={"objective": "kto"})})
    dataset = prepare(recipe, folder, store, WordReader())
    return {one.tags["conversation"]: one for side in KEPT for one in read_split(store, dataset, side)}


def test_corrections_thumbs_and_stars_are_learned_once_they_are_approved(store: Store, tmp_path: Path) -> None:
    say(store, 0, correction="Better 0")
    say(store, 1, liked=False)
    say(store, 2, stars=5, label="billing")
    say(store, 3, "open", liked=True)
    say(store, 4, "refused", correction="Nonsense")
    say(store, 5, stars=3)
    found = learned(store, tmp_path)
    assert sorted(found) == ["k0", "k1", "k2"]
    corrected = found["k0"]
    assert (corrected.answer.text, corrected.rejected and corrected.rejected.text) == ("Better 0", "Answer 0")
    assert [message.role for message in corrected.messages] == ["user", "assistant", "tool", "user", "assistant"]
    assert corrected.messages[1].tool_calls[0].arguments == {"n": 1}
    assert (found["k1"].label, found["k2"].label) == (False, True)
    assert found["k2"].tags["label"] == "billing"
    assert found["k2"].tags["model"] == "support-1"


def test_the_newest_word_counts_and_a_correction_that_changes_nothing_is_praise(store: Store, tmp_path: Path) -> None:
    say(store, 0, liked=False)
    say(store, 0, minutes=5, liked=True)
    say(store, 1, correction=" Answer 1 ")
    found = learned(store, tmp_path)
    assert (found["k0"].label, found["k1"].label) == (True, True)


def test_traffic_of_which_nothing_is_approved_is_told(store: Store, tmp_path: Path) -> None:
    say(store, 0, "open", liked=True)
    with pytest.raises(DataError, match="no approved feedback"):
        learned(store, tmp_path)
