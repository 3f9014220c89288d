"""Roles, parts and links between tool calls and their results."""

from __future__ import annotations

import pytest

from sonneteer.data.messages import ROLES, linked, role_of, text_of
from sonneteer.errors import DataError
from sonneteer.records import Message, ToolCall


def call(*ids: str) -> Message:
    return Message(role="assistant", tool_calls=tuple(ToolCall(id=id, name="f") for id in ids))


def result(id: str | None) -> Message:
    return Message(role="tool", text="done", tool_call_id=id)


@pytest.mark.parametrize(("name", "role"), [("GPT", "assistant"), (" Human ", "user"), ("developer", "system")])
def test_roles_are_known_by_many_names(name: str, role: str) -> None:
    assert role_of(name) == role


def test_an_unknown_role_is_refused_with_the_known_ones_and_without_the_name() -> None:
    with pytest.raises(DataError, match=", ".join(ROLES)) as caught:
        role_of("Jane")
    assert "Jane" not in str(caught.value)


def test_text_parts_stand_one_below_the_other() -> None:
    assert text_of([{"type": "text", "text": "a"}, "b", {"text": "c"}]) == "a\nb\nc"
    assert text_of(None) == ""


def test_calls_without_ids_get_different_ones_and_their_results_in_order() -> None:
    first, *results = linked([call("", ""), result(None), result(None)])
    ids = [one.id for one in first.tool_calls]
    assert len(set(ids)) == 2
    assert [message.tool_call_id for message in results] == ids


def test_given_ids_stay_in_whatever_order_the_results_come() -> None:
    messages = [call("a", "b"), result("b"), result("a")]
    assert linked(messages) == messages


@pytest.mark.parametrize("messages", [[result("a")], [call("a"), result("b")], [call("a"), result("a"), result("a")]])
def test_a_result_that_nobody_called_for_is_refused(messages: list[Message]) -> None:
    with pytest.raises(DataError, match="belongs to no call"):
        linked(messages)
