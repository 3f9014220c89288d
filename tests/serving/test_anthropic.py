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
from sonneteer.serving.anthropic import CountRequest, MessagesRequest, asked
from sonneteer.serving.asked import Asked
from sonneteer.serving.refusals import Refusal

USER = {"role": "user", "content": "Hi"}


def understood(*messages: Any, **more: Any) -> Asked:
    body = {"model": "poet", "max_tokens": 5, "messages": list(messages)} | more
    return asked(MessagesRequest.model_validate_json(json.dumps(body)), ServingSettings(), seed=3)


def told(*messages: Any, **more: Any) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in understood(*messages, **more).prompt.messages]


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def test_the_system_prompt_comes_first_as_text_or_as_blocks() -> None:
    assert told(USER, system="Be kind.") == [("system", "Be kind."), ("user", "Hi")]
    cached = text("Be brief.") | {"cache_control": {"type": "ephemeral"}}
    assert told(USER, system=[text("Be kind."), cached]) == [("system", "Be kind.\nBe brief."), ("user", "Hi")]
    assert told(USER, system="") == [("user", "Hi")]


def test_consecutive_turns_of_one_role_become_one() -> None:
    again = {"role": "user", "content": [text("Are you"), text("there?")]}
    assert told(USER, again) == [("user", "Hi\nAre you\nthere?")]


def test_a_last_assistants_message_is_the_beginning_of_the_answer() -> None:
    request = understood(
        USER, {"role": "assistant", "content": "Once"}, {"role": "assistant", "content": [text("upon")]}
    )
    assert [message.role for message in request.prompt.messages] == ["user"]
    assert request.choices[0].prefill == "Once\nupon"
    assert request.conversation.messages[-1] == Message(role="assistant", text="Once\nupon")


def test_a_system_message_in_the_middle_stays_there() -> None:
    messages = [USER, {"role": "assistant", "content": "Hello"}, {"role": "system", "content": "Be brief."}, USER]
    assert [role for role, _ in told(*messages)] == ["user", "assistant", "system", "user"]


def test_tool_calls_and_their_results_are_read_as_the_training_data_has_them() -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Ulm"}}
    results = [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("sunny"), text("and warm")]},
        {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True},
        text("And tomorrow?"),
    ]
    thought = {"type": "thinking", "thinking": "Hm", "signature": "x"}
    messages = [
        USER,
        {"role": "assistant", "content": [thought, text("Wait."), use]},
        {"role": "user", "content": results},
    ]
    call = ToolCall(id="toolu_1", name="weather", arguments={"city": "Ulm"})
    assert understood(*messages).prompt.messages[1:] == (
        Message(role="assistant", text="Wait.", tool_calls=(call,)),
        Message(role="tool", text="sunny\nand warm", tool_call_id="toolu_1"),
        Message(role="tool", text="", tool_call_id="toolu_2"),
        Message(role="user", text="And tomorrow?"),
    )


def test_tools_are_given_to_the_template_in_its_own_notation_unless_they_are_ruled_out() -> None:
    tool = {
        "name": "weather",
        "description": "Tells it.",
        "input_schema": {"type": "object"},
        "type": "custom",
        "strict": True,
    }
    parameters = {"name": "weather", "description": "Tells it.", "parameters": {"type": "object"}}
    assert understood(USER, tools=[tool]).prompt.tools == ({"type": "function", "function": parameters},)
    assert understood(USER, tools=[tool], tool_choice={"type": "none"}).prompt.tools == ()


def test_sampling_settings_are_taken_within_what_a_model_can_compute() -> None:
    options = understood(USER, temperature=0.001, top_p=0, top_k=0, stop_sequences=["", "END"]).choices[0]
    assert (options.temperature, options.top_p, options.top_k, options.stop) == (0.0, 1e-6, None, ("END",))
    options = understood(USER, temperature=1, top_p=0.5, top_k=3).choices[0]
    assert (options.temperature, options.top_p, options.top_k, options.seed) == (1.0, 0.5, 3, 3)


@pytest.mark.parametrize("kind", ["document", "server_tool_use", "search_result"])
def test_content_that_the_models_cannot_read_is_refused_in_words(kind: str) -> None:
    with pytest.raises(ValidationError, match=f"content of type '{kind}' is not supported") as problem:
        understood({"role": "user", "content": [text("See"), {"type": kind, "source": {}}]})
    assert problem.value.errors()[0]["loc"][:4] == ("messages", 0, "content", 1)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "a tool that Anthropic runs"),
        ({"tool_choice": {"type": "tool"}}, "name: Field required"),
        ({"output_config": {"format": {"type": "xml"}}}, "json_schema"),
        ({"temperature": 1.5}, "less than or equal to 1"),
    ],
)
def test_what_no_model_can_do_is_refused_in_words(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        understood(USER, **more)


TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in ("a", "b")]


def test_the_form_of_an_answer_reaches_the_model() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    wanted = understood(USER, output_config={"format": {"type": "json_schema", "schema": schema}})
    assert wanted.choices[0].form == Form(json_schema=schema)
    forced = understood(USER, tools=TOOLS, tool_choice={"type": "any", "disable_parallel_tool_use": True})
    assert forced.choices[0].form == Form(must_call=True, has_one_call=True)
    named = understood(USER, tools=TOOLS, tool_choice={"type": "tool", "name": "b"})
    assert named.choices[0].form == Form(must_call=True, only_tool="b")
    for tools, choice in (([], {"type": "any"}), (TOOLS, {"type": "tool", "name": "c"}), (TOOLS * 2, {"type": "auto"})):
        with pytest.raises(Refusal, match="tool"):
            understood(USER, tools=tools, tool_choice=choice)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            {"role": "user", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": {}}]},
            "only be in `assistant`",
        ),
        ({"role": "assistant", "content": [{"type": "tool_result", "tool_use_id": "a"}]}, "only be in `user`"),
        ({"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": {}}]}, "must follow"),
    ],
)
def test_blocks_in_the_wrong_place_are_refused(message: dict[str, Any], words: str) -> None:
    with pytest.raises(Refusal, match=words):
        understood(USER, message)


def test_a_conversation_needs_a_user() -> None:
    with pytest.raises(Refusal, match="at least one user message"):
        understood({"role": "assistant", "content": "Hello"}, system="Be kind.")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
blocks = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "tool_use", "tool_result", "thinking", "image"]) | values},
    optional={
        "text": st.text() | values,
        "id": values,
        "name": values,
        "input": values,
        "tool_use_id": values,
        "content": values,
    },
)
bodies = st.fixed_dictionaries(
    {
        "model": st.just("poet"),
        "messages": st.lists(
            st.fixed_dictionaries(
                {"role": st.sampled_from(["user", "assistant", "system"]) | values},
                optional={"content": st.text() | st.lists(blocks, max_size=3) | values},
            ),
            max_size=4,
        )
        | values,
    },
    optional={"max_tokens": st.integers() | values, "system": values, "tools": values, "stop_sequences": values},
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(bodies)
def test_any_body_is_either_understood_or_refused(body: dict[str, Any]) -> None:
    for kind in (MessagesRequest, CountRequest):
        try:
            request = asked(kind.model_validate_json(json.dumps(body)), ServingSettings(), seed=0)
        except (ValidationError, Refusal):
            continue
        assert any(message.role in ("user", "tool") for message in request.prompt.messages)
