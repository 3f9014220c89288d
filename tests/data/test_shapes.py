"""A file's shape is recognised, and said with its doubts."""

from __future__ import annotations

from typing import Any

import pytest

from sonneteer.data.shapes import SHAPES, recognise, unused_fields
from sonneteer.errors import DataError

ASKED = {"role": "user", "content": "Hm?"}
SAID = {"role": "assistant", "content": "Yes."}
USES_TOOL = {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]}
TURNS = [{"from": "human", "value": "Hm?"}, {"from": "gpt", "value": "Yes."}]

ROWS: list[tuple[str, dict[str, Any]]] = [
    ("bedrock", {"schemaVersion": "bedrock-conversation-2024", "messages": []}),
    ("openai-preference", {"input": {"messages": []}, "preferred_output": [], "non_preferred_output": []}),
    ("preference", {"prompt": "a", "chosen": "b", "rejected": "c"}),
    ("preference", {"chosen": "b", "rejected": "c"}),
    ("preference", {"instruction": "a", "input": "", "chosen": "b", "rejected": "c"}),
    ("preference", {"conversations": TURNS, "chosen": TURNS[1], "rejected": TURNS[1]}),
    ("unpaired", {"prompt": "a", "completion": "b", "label": True}),
    ("unpaired", {"instruction": "a", "output": "b", "kto_tag": "false"}),
    ("unpaired", {"messages": [ASKED, SAID], "label": False}),
    ("sharegpt", {"conversations": TURNS}),
    ("sharegpt", {"conversations": '[{"from": "human", "value": "a"}]'}),
    ("chat", {"messages": [ASKED, SAID]}),
    ("chat", {"messages": [{"role": "system", "content": "x"}, ASKED, SAID], "prompt": "a", "text": "b"}),
    ("anthropic", {"system": "x", "messages": [ASKED, USES_TOOL]}),
    ("alpaca", {"instruction": "a", "input": "", "output": "b"}),
    ("alpaca", {"instruction": "a", "response": "b", "category": "c"}),
    ("prompt-completion", {"prompt": "a", "completion": "b"}),
    ("prompt-completion", {"question": "a", "answer": "b"}),
    ("prompt-completion", {"input": "a", "output": "b"}),
    ("reference", {"prompt": "a", "reference_answer": "b"}),
    ("reference", {"messages": [ASKED], "reference_answer": 3, "difficulty": "hard"}),
    ("reference", {"instruction": "a", "reference_answer": {"city": "Rome"}}),
    ("chat", {"messages": [ASKED, SAID], "reference_answer": "b"}),
    ("prompt-completion", {"prompt": "a", "completion": "c", "reference_answer": "b"}),
    ("prompt-completion", {"prompt": "a", "completion": "b", "label": "billing"}),
    ("text", {"text": "a"}),
    ("text", {"text": "a", "label": "billing"}),
    ("text", {"input": "a"}),
]


@pytest.mark.parametrize(("shape", "row"), ROWS)
def test_a_shape_is_recognised_by_its_fields(shape: str, row: dict[str, Any]) -> None:
    assert recognise([row] * 3).shape == shape


def test_every_shape_is_recognised_by_some_row() -> None:
    assert {shape for shape, _ in ROWS} == set(SHAPES) - {"prompt", "exchange"}  # never guessed


def test_one_row_with_blocks_makes_a_file_anthropics() -> None:
    finding = recognise([{"messages": [ASKED, SAID]}] * 9 + [{"messages": [ASKED, USES_TOOL]}])
    assert finding.shape == "anthropic"


def test_a_clear_case_is_said_without_doubt() -> None:
    assert recognise([{"messages": [ASKED, SAID]}] * 3).why == "the first 3 rows all have this shape"


def test_rows_of_two_shapes_are_read_as_the_more_frequent_and_the_doubt_is_said() -> None:
    rows = [{"messages": [ASKED, SAID]}] * 7 + [{"instruction": "a", "output": "b"}] * 3
    finding = recognise(rows)
    assert finding.shape == "chat"
    assert finding.why.startswith("7 of the first 10 rows have this shape. Doubtful: 3 as 'alpaca'")


def test_a_row_that_two_shapes_read_differently_is_doubtful() -> None:
    row = {"messages": [ASKED, SAID], "prompt": "Else?", "completion": "No."}
    assert "1 as 'prompt-completion' could be read otherwise" in recognise([row]).why


def test_rows_of_no_shape_are_refused_with_their_fields_and_the_known_shapes() -> None:
    with pytest.raises(DataError, match=r"(?s)Their fields: reply, topic\..*alpaca \(instruction, input, output\)"):
        recognise([{"topic": "secret", "reply": "secret"}])


def test_a_table_without_a_header_does_not_spill_its_first_row() -> None:
    with pytest.raises(DataError) as caught:
        recognise([{"My name is Jane Doe and I live in Rome": "x"}])
    assert "Rome" not in str(caught.value)


def test_fields_that_are_not_read_are_named() -> None:
    rows: list[dict[str, Any]] = [{"text": "a", "label": "b"}, {"text": "c", "id": 1, "topic": "d"}]
    assert unused_fields("text", rows, besides=("topic",)) == ["id", "label"]
