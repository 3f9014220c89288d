"""The papers on the table."""

from __future__ import annotations

import json

import pytest

from sonneteer.data.shapes import SHAPES, recognise
from sonneteer.records import Example, Message, ToolCall
from sonneteer.records.rows import row_of

ASKED, ANSWER = Message(role="user", text="Where?"), Message(role="assistant", text="Here.")
CALLED = Message(role="assistant", tool_calls=(ToolCall(id="c", name="find", arguments={"city": "Rome"}),))
RESULT = Message(role="tool", text="sun", tool_call_id="c")
TOOL = {"type": "function", "function": {"name": "find", "description": "", "parameters": {"type": "object"}}}


def test_a_changed_copy_of_an_example_has_an_id_of_its_own() -> None:
    example = Example(messages=(Message(role="user", text="Where?"), Message(role="assistant", text="Here.")))
    before = example.id
    other = example.with_answer(Message(role="assistant", text="There."))
    assert other.id == Example(messages=other.messages).id != before
    assert example.id == before


@pytest.mark.parametrize(
    "example",
    [
        Example(messages=(ASKED, CALLED, RESULT, ANSWER), tools=(TOOL,), reference={"city": "Rome"}),
        Example(messages=(ASKED, ANSWER.model_copy(update={"weight": 0.0}), ASKED, ANSWER)),
        Example(messages=(ASKED, ANSWER), rejected=Message(role="assistant", text="There.")),
        Example(messages=(ASKED, ANSWER), label=False),
        Example(messages=(ANSWER,), is_text=True),
    ],
)
def test_a_row_is_read_back_as_the_example_that_it_was_written_from(example: Example) -> None:
    row = json.loads(json.dumps(row_of(example)))
    assert SHAPES[recognise([row]).shape].read(row) == example
