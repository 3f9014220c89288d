"""A row of each shape becomes the example that it means, and a broken one says why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonneteer.data.shapes import SHAPES
from sonneteer.errors import DataError
from sonneteer.records import Example, Message, ToolCall

ASK = Message(role="user", text="What is the capital?")
SAY = Message(role="assistant", text="Paris.")
BE_BRIEF = Message(role="system", text="Be brief.")
ASKED = {"role": "user", "content": "What is the capital?"}
SAID = {"role": "assistant", "content": "Paris."}
HUMAN, GPT = {"from": "human", "value": ASK.text}, {"from": "gpt", "value": "Paris."}
SCHEMA = {"type": "object", "properties": {}}
FUNCTION = {"name": "look_up", "description": "Looks up.", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}
LOOKED_UP = Example(
    messages=(
        ASK,
        Message(
            role="assistant", text="Let me see.", tool_calls=(ToolCall(id="c1", name="look_up", arguments={"q": "x"}),)
        ),
        Message(role="tool", text="Paris", tool_call_id="c1"),
        SAY,
    ),
    tools=(TOOL,),
)


def read(shape: str, row: dict[str, Any]) -> Example:
    return SHAPES[shape].read(row)


def refused(shape: str, row: dict[str, Any]) -> str:
    with pytest.raises(DataError) as caught:
        read(shape, row)
    return str(caught.value)


SAME_EXCHANGE = [
    ("chat", {"messages": [ASKED, SAID]}),
    ("chat", {"messages": [{**ASKED, "content": [{"type": "text", "text": ASKED["content"]}]}, SAID]}),
    ("chat", {"messages": json.dumps([ASKED, SAID])}),
    ("anthropic", {"messages": [ASKED, {**SAID, "content": [{"type": "text", "text": "Paris."}]}]}),
    ("sharegpt", {"conversations": [HUMAN, GPT]}),
    ("sharegpt", {"conversation": [{"from": "gpt", "value": "Hello!"}, {"role": "user", "content": ASK.text}, SAID]}),
    ("prompt-completion", {"prompt": ASK.text, "completion": "Paris."}),
    ("prompt-completion", {"prompt": [ASKED], "completion": [SAID]}),
    ("prompt-completion", {"prompt": ASKED, "completion": SAID}),
    ("prompt-completion", {"question": ASK.text, "answer": "Paris."}),
    ("prompt-completion", {"input": ASK.text, "output": "Paris."}),
    ("prompt-completion", {"prompt": f"\n\nHuman: {ASK.text}\n\nAssistant:", "completion": "Paris."}),
    ("alpaca", {"instruction": ASK.text, "input": " ", "output": "Paris."}),
    ("alpaca", {"instruction": "What is", "input": "the capital?", "output": "Paris."}),
    ("alpaca", {"instruction": ASK.text, "response": "Paris."}),
    (
        "bedrock",
        {
            "schemaVersion": "bedrock-conversation-2024",
            "messages": [
                {"role": "user", "content": [{"text": ASK.text}]},
                {"role": "assistant", "content": [{"text": "Paris."}]},
            ],
        },
    ),
]


@pytest.mark.parametrize(("shape", "row"), SAME_EXCHANGE)
def test_every_shape_reads_the_same_exchange(shape: str, row: dict[str, Any]) -> None:
    messages = read(shape, row).messages
    assert [(m.role, m.text.replace("\n", " ")) for m in messages] == [("user", ASK.text), ("assistant", "Paris.")]


@pytest.mark.parametrize(
    ("shape", "row"),
    [
        ("chat", {"messages": [{"role": "developer", "content": "Be brief."}, ASKED, SAID]}),
        ("chat", {"system": "Be brief.", "messages": [ASKED, SAID]}),
        ("anthropic", {"system": "Be brief.", "messages": [ASKED, SAID]}),
        ("anthropic", {"system": [{"type": "text", "text": "Be brief."}], "messages": [ASKED, SAID]}),
        ("sharegpt", {"system": "Be brief.", "conversations": [ASKED, SAID]}),
        ("alpaca", {"system": "Be brief.", "instruction": ASK.text, "output": "Paris."}),
        ("prompt-completion", {"system": "Be brief.", "question": ASK.text, "answer": "Paris."}),
    ],
)
def test_a_system_prompt_stands_first_wherever_the_row_keeps_it(shape: str, row: dict[str, Any]) -> None:
    assert read(shape, row).messages == (BE_BRIEF, ASK, SAY)


def test_an_empty_system_prompt_is_none() -> None:
    assert read("chat", {"messages": [{"role": "system", "content": ""}, ASKED, SAID]}).messages == (ASK, SAY)


def test_openais_tool_calls_are_read() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"q": "x"}'}}
    row = {
        "messages": [
            ASKED,
            {"role": "assistant", "content": "Let me see.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "Paris"},
            SAID,
        ],
        "tools": [TOOL],
    }
    assert read("chat", row) == LOOKED_UP


def test_anthropics_tool_use_is_read_as_openais() -> None:
    row = {
        "messages": [
            ASKED,
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": ""},
                    {"type": "text", "text": "Let me see."},
                    {"type": "tool_use", "id": "c1", "name": "look_up", "input": {"q": "x"}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "Paris"}]},
            SAID,
        ],
        "tools": [{"name": "look_up", "description": "Looks up.", "input_schema": SCHEMA}],
    }
    assert read("anthropic", row) == LOOKED_UP


def test_bedrocks_tool_use_is_read_as_openais() -> None:
    spec = {
        "name": "look_up",
        "description": "Looks up.",
        "inputSchema": {"json": SCHEMA},
    }
    row = {
        "schemaVersion": "bedrock-conversation-2024",
        "messages": [
            {"role": "user", "content": [{"text": ASK.text}]},
            {
                "role": "assistant",
                "content": [
                    {"text": "Let me see."},
                    {"toolUse": {"toolUseId": "c1", "name": "look_up", "input": {"q": "x"}}},
                ],
            },
            {"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "Paris"}]}}]},
            {"role": "assistant", "content": [{"text": "Paris."}]},
        ],
        "toolConfig": {"tools": [{"toolSpec": spec}]},
    }
    assert read("bedrock", row) == LOOKED_UP


def test_a_users_words_follow_the_results_that_they_came_with() -> None:
    row = {
        "messages": [
            ASKED,
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look_up", "input": {}}]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Hurry."},
                    {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "Paris"}]},
                ],
            },
            SAID,
        ]
    }
    assert [(m.role, m.text) for m in read("anthropic", row).messages[2:4]] == [("tool", "Paris"), ("user", "Hurry.")]


def test_older_function_calls_get_ids_that_link_call_and_result() -> None:
    row = {
        "messages": [
            ASKED,
            {"role": "assistant", "content": None, "function_call": {"name": "look_up", "arguments": "{}"}},
            {"role": "function", "name": "look_up", "content": "Paris"},
            SAID,
        ]
    }
    _, call, result, _ = read("chat", row).messages
    assert (call.tool_calls[0].name, call.tool_calls[0].arguments) == ("look_up", {})
    assert result.tool_call_id == call.tool_calls[0].id


def test_sharegpts_function_call_is_json_in_the_value() -> None:
    row = {
        "conversations": [
            {"from": "human", "value": ASK.text},
            {"from": "function_call", "value": '{"name": "look_up", "arguments": {"q": "x"}}'},
            {"from": "observation", "value": "Paris"},
            {"from": "gpt", "value": "Paris."},
        ],
        "tools": json.dumps([FUNCTION]),
    }
    example = read("sharegpt", row)
    assert example.messages[1].tool_calls[0].arguments == {"q": "x"}
    assert example.tools == (TOOL,)


@pytest.mark.parametrize(
    ("said", "weight"),
    [
        ({"weight": 0}, 0.0),
        ({"weight": 1}, 1.0),
        ({"weight": 0.25}, 0.25),
        ({"train": False}, 0.0),
        ({"train": True}, 1.0),
    ],
)
@pytest.mark.parametrize("shape", ["chat", "sharegpt"])
def test_a_turn_counts_for_as_much_as_its_weight_says(shape: str, said: dict[str, object], weight: float) -> None:
    turns = {"chat": ("messages", ASKED, SAID), "sharegpt": ("conversations", HUMAN, GPT)}
    key, asked, answered = turns[shape]
    row = {key: [asked, {**answered, **said}, asked, answered]}
    assert [message.weight for message in read(shape, row).messages] == [1.0, weight, 1.0, 1.0]


def test_alpacas_history_comes_first() -> None:
    row = {"instruction": "And now?", "output": "Later.", "history": [["Now?", "No."]], "system": "Be brief."}
    said = [(message.role, message.text) for message in read("alpaca", row).messages]
    assert said == [
        ("system", "Be brief."),
        ("user", "Now?"),
        ("assistant", "No."),
        ("user", "And now?"),
        ("assistant", "Later."),
    ]


PAIRS = [
    ("preference", {"prompt": ASK.text, "chosen": "Paris.", "rejected": "Rome."}),
    ("preference", {"prompt": [ASKED], "chosen": [SAID], "rejected": [{**SAID, "content": "Rome."}]}),
    ("preference", {"chosen": [ASKED, SAID], "rejected": [ASKED, {**SAID, "content": "Rome."}]}),
    ("preference", {"prompt": ASK.text, "chosen": [ASKED, SAID], "rejected": [ASKED, {**SAID, "content": "Rome."}]}),
    ("preference", {"instruction": ASK.text, "input": "", "chosen": "Paris.", "rejected": "Rome."}),
    ("preference", {"question": ASK.text, "chosen": "Paris.", "rejected": "Rome."}),
    (
        "preference",
        {
            "conversations": [{"from": "human", "value": ASK.text}],
            "chosen": {"from": "gpt", "value": "Paris."},
            "rejected": {"from": "gpt", "value": "Rome."},
        },
    ),
    (
        "preference",
        {
            "chosen": f"\n\nHuman: {ASK.text}\n\nAssistant: Paris.",
            "rejected": f"\n\nHuman: {ASK.text}\n\nAssistant: Rome.",
        },
    ),
    ("preference", {"prompt": f"\n\nHuman: {ASK.text}\n\nAssistant:", "chosen": "Paris.", "rejected": "Rome."}),
    (
        "openai-preference",
        {
            "input": {"messages": [ASKED]},
            "preferred_output": [SAID],
            "non_preferred_output": [{**SAID, "content": "Rome."}],
        },
    ),
]


@pytest.mark.parametrize(("shape", "row"), PAIRS)
def test_every_spelling_of_a_preference_is_the_same_pair(shape: str, row: dict[str, Any]) -> None:
    example = read(shape, row)
    assert example.messages == (ASK, SAY)
    assert example.rejected == Message(role="assistant", text="Rome.")


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": ASK.text, "completion": "Paris."},
        {"instruction": ASK.text, "output": "Paris."},
        {"messages": [ASKED, SAID]},
        {"conversations": [ASKED, SAID]},
    ],
)
@pytest.mark.parametrize(("label", "is_liked"), [(True, True), ("False", False), (1, True), (0.0, False)])
def test_an_unpaired_answer_bears_its_label(row: dict[str, Any], label: Any, is_liked: bool) -> None:
    assert read("unpaired", {**row, "label": label}).label is is_liked
    assert read("unpaired", {**row, "kto_tag": label}).label is is_liked


@pytest.mark.parametrize("row", [{"text": "Once upon a time."}, {"input": "Once upon a time."}])
def test_plain_text_has_no_roles(row: dict[str, Any]) -> None:
    example = read("text", row)
    assert (example.is_text, example.answer.text) == (True, "Once upon a time.")


def test_a_reference_is_kept_for_scorers() -> None:
    row = {"messages": [ASKED, SAID], "reference_answer": "Paris", "reference": {"city": "Paris"}}
    assert read("chat", row).reference == {"reference_answer": "Paris", "city": "Paris"}


@pytest.mark.parametrize(
    "row", [{"messages": [ASKED]}, {"prompt": [ASKED]}, {"prompt": ASK.text}, {"instruction": ASK.text}]
)
def test_a_reference_answer_stands_as_the_answer_and_rewards_see_all_columns(row: dict[str, Any]) -> None:
    example = read(
        "reference", {**row, "reference_answer": {"city": "Paris"}, "level": 2, "topic": "travel", "no": None}
    )
    assert (example.prompt.messages, example.answer.text) == ((ASK,), '{"city": "Paris"}')
    assert example.reference == {"reference_answer": {"city": "Paris"}, "level": 2}


def test_the_older_functions_are_tools() -> None:
    function = {"name": "find", "description": "", "parameters": {"type": "object"}}
    example = read("chat", {"messages": [ASKED, SAID], "functions": [function]})
    assert example.tools == ({"type": "function", "function": function},)


BROKEN = [
    ("chat", {}, "'messages' must be a list, not nothing"),
    ("chat", {"messages": []}, "there is no message, but it must be the assistant's answer"),
    ("chat", {"messages": [ASKED]}, "the last message is the user's"),
    ("chat", {"messages": [ASKED], "reference_answer": "Paris"}, "the last message is the user's"),
    ("chat", {"messages": [SAID]}, "no question"),
    ("chat", {"messages": [ASKED, {"content": "Paris"}]}, "message 2: it has no role"),
    ("reference", {"prompt": "x", "reference_answer": " "}, "'reference_answer' is empty"),
    ("chat", {"messages": [ASKED, {**SAID, "content": " "}]}, "the answer is empty"),
    ("chat", {"messages": [{**ASKED, "content": ""}, SAID]}, "the user's message is empty"),
    ("chat", {"messages": [ASKED, "Paris"]}, "message 2: it must be an object with named fields, not text"),
    ("chat", {"messages": [ASKED, {**SAID, "weight": -1}]}, "message 2: 'weight' must be a number, 0 or more"),
    ("chat", {"messages": [ASKED, {**SAID, "weight": True}]}, "message 2: 'weight' must be a number, 0 or more"),
    ("chat", {"messages": [ASKED, {**SAID, "train": 1}]}, "message 2: 'train' must be true or false"),
    ("chat", {"messages": [ASKED, {**SAID, "content": 7}]}, "message 2: its content must be text"),
    ("chat", {"messages": [ASKED, {**SAID, "role": "Jane Doe"}]}, "message 2: its role is none of system"),
    ("chat", {"messages": [ASKED, {"role": "assistant", "tool_calls": [{}]}]}, "message 2: a tool call lacks"),
    (
        "chat",
        {"messages": [ASKED, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]},
        "message 2: the arguments of a tool call cannot be read as JSON: Expecting property name",
    ),
    ("chat", {"messages": [ASKED, {"role": "tool", "tool_call_id": "c9", "content": "x"}, SAID]}, "belongs to no call"),
    ("prompt-completion", {"prompt": "x"}, "'completion' is missing"),
    ("prompt-completion", {"prompt": "x", "reference_answer": "y"}, "'completion' is missing"),
    ("prompt-completion", {"prompt": 3, "completion": "x"}, "'prompt' must be text, not a number"),
    ("prompt-completion", {"prompt": "", "completion": "x"}, "'prompt' is empty"),
    ("alpaca", {"output": "x"}, "no question"),
    ("alpaca", {"instruction": "x", "output": ["y"]}, "'output' must be text, not a list"),
    ("alpaca", {"instruction": "x", "output": "y", "history": [["one"]]}, "a question and an answer"),
    ("sharegpt", {"conversations": [{"from": "gpt", "value": "x"}]}, "there is no message"),
    ("unpaired", {"prompt": "x", "completion": "y", "label": "maybe"}, "true or false"),
    ("preference", {"prompt": "x", "chosen": "y", "rejected": "y"}, "are the same"),
    ("preference", {"prompt": "x", "chosen": "y"}, "'rejected' must be text, not nothing"),
    ("preference", {"chosen": "y", "rejected": "z"}, "no question"),
    ("preference", {"chosen": [ASKED, SAID], "rejected": [SAID]}, "differ in nothing but the last answer"),
    ("text", {"text": "\n"}, "'text' is empty"),
]


@pytest.mark.parametrize(("shape", "row", "reason"), BROKEN)
def test_a_broken_row_says_why(shape: str, row: dict[str, Any], reason: str) -> None:
    assert reason in refused(shape, row)


@pytest.mark.parametrize(
    ("shape", "row"),
    [
        ("chat", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, SAID]}),
        ("chat", {"messages": [ASKED, SAID], "images": ["a.png"]}),
        ("anthropic", {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}, SAID]}),
        ("bedrock", {"messages": [{"role": "user", "content": [{"image": {"format": "png"}}]}]}),
    ],
)
def test_images_are_refused_in_words(shape: str, row: dict[str, Any]) -> None:
    assert "images need a vision model, which this version cannot train" in refused(shape, row)


def test_another_kind_of_part_is_named_if_its_name_is_a_word() -> None:
    def reason(kind: str) -> str:
        return refused("chat", {"messages": [{"role": "user", "content": [{"type": kind}]}, SAID]})

    assert "a part of the kind 'input_audio' cannot be learned" in reason("input_audio")
    assert "my diary" not in reason("my diary, page 1")


# Properties ------------------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    lambda text: text.strip() and not text.lstrip().startswith(("[", "{", "\n"))
)
exchanges = st.lists(st.tuples(words, words), min_size=1, max_size=4)
systems = st.one_of(st.none(), words)


def example_of(system: str | None, said: list[tuple[str, str]]) -> Example:
    messages = [Message(role="system", text=system)] if system else []
    for asked, answered in said:
        messages += [Message(role="user", text=asked), Message(role="assistant", text=answered)]
    return Example(messages=tuple(messages))


def as_chat(system: str | None, said: list[tuple[str, str]]) -> dict[str, Any]:
    return {"messages": [{"role": m.role, "content": m.text} for m in example_of(system, said).messages]}


def as_anthropic(system: str | None, said: list[tuple[str, str]]) -> dict[str, Any]:
    turns = as_chat(None, said)["messages"]
    blocks = [{"role": turn["role"], "content": [{"type": "text", "text": turn["content"]}]} for turn in turns]
    return {"messages": blocks} | ({"system": system} if system else {})


def as_bedrock(system: str | None, said: list[tuple[str, str]]) -> dict[str, Any]:
    turns = as_chat(None, said)["messages"]
    return {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": system}] if system else [],
        "messages": [{"role": turn["role"], "content": [{"text": turn["content"]}]} for turn in turns],
    }


def as_sharegpt(system: str | None, said: list[tuple[str, str]]) -> dict[str, Any]:
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    turns = as_chat(system, said)["messages"]
    return {"conversations": [{"from": names[turn["role"]], "value": turn["content"]} for turn in turns]}


def as_prompt_completion(system: str | None, said: list[tuple[str, str]]) -> dict[str, Any]:
    turns = as_chat(system, said)["messages"]
    return {"prompt": turns[:-1], "completion": turns[-1:]}


def as_alpaca(system: str | None, said: list[tuple[str, str]]) -> dict[str, Any]:
    *history, (asked, answered) = said
    return {"instruction": asked, "output": answered, "history": history, "system": system}


WRITERS = {
    "chat": as_chat,
    "anthropic": as_anthropic,
    "bedrock": as_bedrock,
    "sharegpt": as_sharegpt,
    "prompt-completion": as_prompt_completion,
    "alpaca": as_alpaca,
}


@pytest.mark.parametrize("shape", WRITERS)
@given(system=systems, said=exchanges)
@settings(max_examples=40, deadline=None)
def test_what_is_written_in_a_shape_is_read_back(shape: str, system: str | None, said: list[tuple[str, str]]) -> None:
    row = json.loads(json.dumps(WRITERS[shape](system, said)))
    assert read(shape, row) == example_of(system, said)


KEYS = """messages system conversations prompt completion instruction input output history tools text chosen rejected
label role content from value type tool_calls function arguments name id weight tool_call_id toolUse toolResult
preferred_output non_preferred_output schemaVersion toolConfig function_call reference"""
keys = st.sampled_from(KEYS.split())
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5),
    st.sampled_from(["user", "assistant", "tool", "tool_use", "tool_result", "image", "[", "{}", "\n\nHuman: a"]),
)  # fmt: skip
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4))


@pytest.mark.parametrize("shape", SHAPES)
@given(row=st.dictionaries(keys, values, max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_row_is_either_read_or_refused_with_a_reason(shape: str, row: dict[str, Any]) -> None:
    try:
        example = read(shape, row)
    except DataError:
        return
    assert Example.model_validate_json(example.model_dump_json()) == example


@pytest.mark.parametrize(("shape", "row", "reason"), BROKEN)
def test_a_reason_never_quotes_what_a_row_says(shape: str, row: dict[str, Any], reason: str) -> None:
    assert "Paris" not in refused(shape, row)
    assert "Jane" not in refused(shape, row)
