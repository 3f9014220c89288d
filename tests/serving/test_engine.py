"""The engine behind the APIs, as the newest clients see it: many at once, held to schemas, honest about likelihoods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import anthropic
import openai
import pytest

from sonneteer.chat import Options
from sonneteer.models.engine.chat import EngineChat
from sonneteer.models.engine.engine import AnsweringEngine, Limits
from sonneteer.models.load import open_folder
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Message, Prompt
from sonneteer.serving import ServedModel

from ..models.networks import saved

WORDS = ["Hello?", "a", "Where is my order?", "The cat sat on the mat. " * 6, "on", "today"]
SCHEMA = {
    "type": "object",
    "properties": {"good": {"type": "boolean"}, "points": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["good", "points"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineChat]:
    engine = AnsweringEngine(open_folder("tiny", saved("llama", tmp_path_factory.mktemp("tiny"))), Limits(seats=4))
    yield EngineChat(engine)
    engine.close()


@pytest.fixture(scope="module")
def server(start: Any, chat: EngineChat) -> Any:
    return start(chat, ServingSettings(max_queue=8), context=chat.context)


@pytest.fixture(scope="module")
def claude(server: Any) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=server.url, api_key="any", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


@pytest.fixture(scope="module")
def gpt(server: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{server.url}/v1", api_key="any", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


def said(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_many_at_once_get_the_answers_that_each_would_get_alone(
    claude: anthropic.Anthropic, gpt: openai.OpenAI, chat: EngineChat
) -> None:
    prompts = [Prompt(messages=(Message(role="user", text=text),)) for text in WORDS]
    expected = [chat.answer([prompt], Options(max_tokens=12))[0].text for prompt in prompts]

    def streamed(text: str) -> str:
        with claude.messages.stream(model="poet", max_tokens=12, messages=said(text)) as stream:
            return "".join(stream.text_stream)

    def whole(text: str) -> str:
        told = gpt.chat.completions.create(model="poet", max_completion_tokens=12, messages=said(text))
        return told.choices[0].message.content or ""

    with ThreadPoolExecutor(12) as crowd:
        first = [crowd.submit(streamed, text) for text in WORDS]
        second = [crowd.submit(whole, text) for text in WORDS]
        assert [each.result(timeout=60) for each in first] == expected
        assert [each.result(timeout=60) for each in second] == expected


def test_a_schema_is_kept_by_both_apis(claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    wanted: Any = {"format": {"type": "json_schema", "schema": SCHEMA}}
    message = claude.messages.create(model="poet", max_tokens=99, messages=said("a"), output_config=wanted)
    assert set(json.loads(message.content[0].text)) == {"good", "points"}  # type: ignore[union-attr]
    form: Any = {"type": "json_schema", "json_schema": {"name": "thing", "schema": SCHEMA, "strict": True}}
    told = gpt.chat.completions.create(model="poet", messages=said("a"), response_format=form, temperature=2, seed=1)
    assert set(json.loads(told.choices[0].message.content or "")) == {"good", "points"}
    form["json_schema"]["schema"] = {"type": "nothing of the kind"}
    with pytest.raises(openai.BadRequestError, match="cannot be enforced"):
        gpt.chat.completions.create(model="poet", messages=said("a"), response_format=form)


def test_a_tool_that_must_be_called_is_called(claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    tool: Any = {"name": "rate", "description": "Rates.", "input_schema": SCHEMA}
    choice: Any = {"type": "tool", "name": "rate", "disable_parallel_tool_use": True}
    with claude.messages.stream(
        model="poet", max_tokens=99, messages=said("a"), tools=[tool], tool_choice=choice
    ) as stream:
        message = stream.get_final_message()
    (use,) = message.content
    assert message.stop_reason == "tool_use"
    assert set(use.input) == {"good", "points"}  # type: ignore[union-attr]
    function: Any = {"type": "function", "function": {"name": "rate", "parameters": SCHEMA}}
    told = gpt.chat.completions.create(
        model="poet",
        messages=said("a"),
        tools=[function],
        tool_choice={"type": "function", "function": {"name": "rate"}},
    )
    (call,) = told.choices[0].message.tool_calls or ()
    assert told.choices[0].finish_reason == "tool_calls"
    assert set(json.loads(call.function.arguments)) == {"good", "points"}  # type: ignore[union-attr]


def test_likelihoods_are_told_whole_and_streamed(gpt: openai.OpenAI) -> None:
    asked: Any = {"model": "poet", "messages": said("a"), "max_tokens": 6, "logprobs": True, "top_logprobs": 2}
    told = gpt.chat.completions.create(**asked).choices[0]
    assert told.logprobs is not None
    tokens = told.logprobs.content or []
    assert b"".join(bytes(token.bytes or ()) for token in tokens).decode(errors="replace") == told.message.content
    assert all(token.logprob == token.top_logprobs[0].logprob <= 0 for token in tokens)
    streamed = [
        token
        for chunk in gpt.chat.completions.create(**asked, stream=True)
        for choice in chunk.choices
        for token in (choice.logprobs.content if choice.logprobs and choice.logprobs.content else ())
    ]
    assert [token.token for token in streamed] == [token.token for token in tokens]


def test_plain_text_and_tokens_go_on_and_their_likelihood_is_told(server: Any, chat: EngineChat) -> None:
    # Null for the likelihood of a prompt's first token, and for an unknown end: as OpenAI's own API has it, though the
    # client's strict types deny it.
    gpt = openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0)
    ids = chat.engine.prompt_ids("The cat sat")
    text = gpt.completions.create(model="poet", prompt="The cat sat", max_tokens=4, logprobs=1, echo=True)
    same = gpt.completions.create(model="poet", prompt=ids, max_tokens=4, logprobs=1, echo=True)
    assert text.choices == same.choices
    assert text.choices[0].text.startswith("The cat sat")
    told = text.choices[0].logprobs
    assert told is not None
    assert told.tokens is not None
    assert "".join(told.tokens) == text.choices[0].text
    assert told.token_logprobs is not None
    assert told.token_logprobs[0] is None  # type: ignore[comparison-overlap]
    scored = gpt.completions.create(model="poet", prompt=[ids, ids[:2]], max_tokens=0, logprobs=0, echo=True)
    assert [len(choice.logprobs.tokens or ()) for choice in scored.choices if choice.logprobs] == [len(ids), 2]
    streamed = list(gpt.completions.create(model="poet", prompt="The cat sat", max_tokens=4, stream=True))
    assert "The cat sat" + "".join(chunk.choices[0].text for chunk in streamed) == text.choices[0].text
    for wrong in ({"prompt": []}, {"prompt": [10**6]}, {"suffix": "x"}, {"best_of": 3}):
        with pytest.raises(openai.BadRequestError):
            gpt.completions.create(**({"model": "poet", "prompt": "a"} | wrong))


def test_the_mark_that_ends_an_answer_is_a_token_and_no_text(server: Any, chat: EngineChat) -> None:
    gpt = openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0)
    ids, ends = chat.engine.prompt_ids("The cat sat"), {"3": 100}
    asked: Any = {"model": "poet", "prompt": ids, "max_tokens": 1, "logprobs": 1, "logit_bias": ends}
    whole = gpt.completions.create(**asked, echo=True).choices[0]
    told = whole.logprobs
    assert told is not None
    assert (whole.text, whole.finish_reason) == ("The cat sat", "stop")
    assert (told.tokens or [])[-1] == "<|im_end|>"
    assert len(told.tokens or ()) == len(told.token_logprobs or ()) == len(told.top_logprobs or ()) == len(ids) + 1
    assert (told.text_offset or [])[-1] == len(whole.text)
    streamed = [chunk.choices[0] for chunk in gpt.completions.create(**asked, stream=True)]
    assert [token for part in streamed if part.logprobs for token in part.logprobs.tokens or ()] == ["<|im_end|>"]


def test_several_answers_to_one_question_are_written_together(gpt: openai.OpenAI) -> None:
    told = gpt.chat.completions.create(model="poet", messages=said("a"), n=3, temperature=2, seed=5, max_tokens=8)
    again = gpt.chat.completions.create(model="poet", messages=said("a"), n=3, temperature=2, seed=5, max_tokens=8)
    assert len({choice.message.content for choice in told.choices}) > 1
    assert [choice.message.content for choice in told.choices] == [choice.message.content for choice in again.choices]


LONG = {"logit_bias": {"3": -100, "0": -100}, "temperature": 1}


def test_a_client_that_hangs_up_frees_its_seat(server: Any, chat: EngineChat, eventually: Any) -> None:
    body = {"model": "poet", "messages": said("a"), "stream": True, "max_tokens": 450} | LONG
    with server.send("/v1/chat/completions", body):
        assert eventually(lambda: chat.engine.figures().running == 1)
    assert eventually(lambda: chat.engine.figures().running == 0)


def test_an_answer_that_takes_too_long_is_ended_in_words(start: Any, chat: EngineChat) -> None:
    server = start(chat, ServingSettings(timeout_seconds=0.001), context=chat.context)
    told = server.complete("a", max_tokens=450, **LONG)
    assert told.status == 504
    assert server.message("a", max_tokens=450).json["error"]["type"] == "timeout_error"


def test_a_version_is_opened_when_it_is_first_asked_for(chat: EngineChat, start: Any) -> None:
    opened: list[str] = []

    def others(name: str) -> Any:
        opened.append(name)
        return None if name != "poet-2" else model("poet-2", chat)

    server = start(chat, others=others)
    assert [server.message("a", model=name).status for name in ("poet-2", "poet-2", "poet-3")] == [200, 200, 404]
    assert opened == ["poet-2", "poet-3"]


def model(name: str, chat: EngineChat) -> Any:
    return ServedModel(name, chat, datetime(2026, 1, 1, tzinfo=UTC), chat.context)
