from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sonneteer.chat import Form
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Message, ToolCall
from sonneteer.serving.asked import Asked
from sonneteer.serving.openai import ChatRequest, asked
from sonneteer.serving.refusals import Refusal

USER = {"role": "user", "content": "Hi"}


def understood(*messages: Any, **more: Any) -> Asked:
    body = {"model": "poet", "messages": list(messages)} | more
    return asked(ChatRequest.model_validate_json(json.dumps(body)), ServingSettings(max_answer_tokens=50), seed=3)


def told(*messages: Any) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in understood(*messages).prompt.messages]


def call(arguments: str) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": arguments}}


def test_the_developer_is_the_system_and_both_are_one_message() -> None:
    messages = [{"role": "developer", "content": "Be kind."}, {"role": "system", "content": "Be brief."}, USER]
    assert told(*messages) == [("system", "Be kind.\nBe brief."), ("user", "Hi")]


def test_parts_of_a_message_become_its_lines() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert told({"role": "user", "content": parts}) == [("user", "one\ntwo")]


def test_tool_calls_and_their_results_are_read() -> None:
    messages = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call('{"city": "Ulm"}')]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    weather = ToolCall(id="call_1", name="weather", arguments={"city": "Ulm"})
    assert understood(*messages).prompt.messages[1:] == (
        Message(role="assistant", tool_calls=(weather,)),
        Message(role="tool", text="sunny", tool_call_id="call_1"),
    )


def test_tools_are_given_to_the_template_unless_they_are_ruled_out() -> None:
    function = {"name": "weather", "parameters": {"type": "object"}}
    tool = {"type": "function", "function": function | {"strict": True}}
    assert understood(USER, tools=[tool]).prompt.tools == ({"type": "function", "function": function},)
    assert understood(USER, tools=[tool], tool_choice="none").prompt.tools == ()


def test_the_newer_limit_of_tokens_counts_before_the_older_and_neither_passes_the_servers() -> None:
    assert understood(USER, max_completion_tokens=7, max_tokens=9).choices[0].max_tokens == 7
    assert understood(USER, max_tokens=9).choices[0].max_tokens == 9
    assert understood(USER, max_tokens=900).choices[0].max_tokens == 50
    assert understood(USER).choices[0].max_tokens == 50


def test_several_choices_differ_in_their_seeds() -> None:
    assert [options.seed for options in understood(USER, n=3, seed=10).choices] == [10, 11, 12]
    assert [options.seed for options in understood(USER, n=2).choices] == [3, 4]


def test_one_stop_text_is_a_list_of_one() -> None:
    assert understood(USER, stop="END").choices[0].stop == ("END",)
    assert understood(USER, stop=["a", "b"]).choices[0].stop == ("a", "b")


def test_explicit_nulls_mean_the_default() -> None:
    names = [
        "temperature",
        "top_p",
        "n",
        "stop",
        "seed",
        "stream",
        "tools",
        "tool_choice",
        "response_format",
        "logprobs",
    ]
    assert understood(USER, **dict.fromkeys(names)) == understood(USER)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"response_format": {"type": "json_schema"}}, "json_schema: Field required"),
        ({"top_logprobs": 21}, "less than or equal to 20"),
        ({"logit_bias": {"50256": -101}}, "greater than or equal to -100"),
        ({"functions": [{"name": "a"}]}, "use 'tools'"),
        ({"modalities": ["text", "audio"]}, "only \\['text'\\]"),
        ({"n": 0}, "greater than or equal to 1"),
        ({"stop": ["a"] * 5}, "at most 4"),
    ],
)
def test_what_no_model_can_do_is_refused_in_words(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        understood(USER, **more)


TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("a", "b")]


def test_forms_penalties_and_likelihoods_reach_the_model() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "thing", "schema": schema}}
    (options,) = understood(USER, response_format=wanted, logprobs=True, top_logprobs=2, logit_bias={"5": -1}).choices
    assert (options.form.json_schema, options.log_probs, options.logit_bias) == (schema, 2, {5: -1.0})
    (options,) = understood(USER, response_format={"type": "json_object"}, presence_penalty=0.5).choices
    assert (options.form.json_schema, options.presence_penalty) == ({"type": "object"}, 0.5)
    (options,) = understood(USER, tools=TOOLS, tool_choice="required", parallel_tool_calls=False).choices
    assert options.form == Form(must_call=True, has_one_call=True)
    named = {"type": "function", "function": {"name": "b"}}
    assert understood(USER, tools=TOOLS, tool_choice=named).choices[0].form.only_tool == "b"
    for choice, tools in (("required", []), ({"type": "function", "function": {"name": "c"}}, TOOLS)):
        with pytest.raises(Refusal, match="tool_choice"):
            understood(USER, tools=tools, tool_choice=choice)
    with pytest.raises(Refusal, match="numbers of tokens"):
        understood(USER, logit_bias={"the": 1})


def test_what_changes_nothing_is_taken() -> None:
    more = {
        "response_format": {"type": "text"},
        "logprobs": False,
        "logit_bias": {},
        "frequency_penalty": 0,
        "user": "a",
    }
    assert understood(USER, **more) == understood(USER)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"role": "assistant", "tool_calls": [call("{")]}, r"messages.1.tool_calls.0.function.arguments: Invalid JSON"),
        ({"role": "assistant", "tool_calls": [call("[1]")]}, "Input should be a JSON object"),
        ({"role": "assistant", "tool_calls": [call('{"a":' * 5000)]}, "Invalid JSON"),
        ({"role": "assistant", "tool_calls": [call("")]}, "the tool's result must follow"),
        ({"role": "tool", "content": "sunny"}, r"messages.1.tool_call_id: Field required"),
        ({"role": "user"}, r"messages.1.content: Field required"),
        ({"role": "user", "content": "a", "tool_calls": [call("{}")]}, "only the assistant calls tools"),
    ],
)
def test_messages_that_do_not_fit_together_are_refused_by_their_place(message: dict[str, Any], words: str) -> None:
    with pytest.raises(Refusal, match=words):
        understood(USER, message)


@pytest.mark.parametrize("kind", ["input_audio", "file"])
def test_content_that_no_model_reads_is_refused_in_words(kind: str) -> None:
    with pytest.raises(ValidationError, match=f"content of type '{kind}' is not supported"):
        understood({"role": "user", "content": [{"type": kind, kind: {}}]})


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
functions = st.fixed_dictionaries({"name": st.text(), "arguments": st.text() | st.just("{}") | values})
turns = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool"]) | values},
    optional={
        "content": st.text() | values,
        "tool_call_id": st.text() | values,
        "tool_calls": st.lists(st.fixed_dictionaries({"id": st.text(), "function": functions}), max_size=2) | values,
    },
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(turns, max_size=4), st.dictionaries(st.sampled_from(sorted(ChatRequest.model_fields)), values))
def test_any_body_is_either_understood_or_refused(messages: list[Any], more: dict[str, Any]) -> None:
    body = {"model": "poet", "messages": messages} | more
    try:
        request = asked(ChatRequest.model_validate_json(json.dumps(body)), ServingSettings(), seed=0)
    except (ValidationError, Refusal):
        return
    assert any(message.role in ("user", "tool") for message in request.prompt.messages)
