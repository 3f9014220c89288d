"""Calls of the real clients, run as a program: `client_calls.py URL BUSY_URL KEY SMALL_KEY` tells what was found.

A program of its own, because the same calls are made by the newest clients and by older ones from another folder.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import anthropic
import openai

URL, BUSY_URL, KEY, SMALL_KEY = sys.argv[1:]
HELLO: Any = [{"role": "user", "content": "say Hello there, poet"}]
CALL: Any = [{"role": "user", "content": "call weather"}]
SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
claude = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)
gpt = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)


def raised(kind: type[Exception], call: Callable[[], Any]) -> Any:
    found: Exception | None = None
    try:
        call()
    except kind as problem:
        found = problem
    assert type(found) is kind, f"{type(found).__name__} instead of {kind.__name__}"
    return found


# Anthropic's -------------------------------------------------------------------------------------


def anthropic_create() -> None:
    message = claude.messages.create(model="poet", max_tokens=100, messages=HELLO, system="Be brief.")
    assert (message.role, message.type, message.model) == ("assistant", "message", "poet")
    assert [(block.type, block.text) for block in message.content] == [("text", "Hello there, poet")]
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert (message.usage.input_tokens, message.usage.output_tokens) == (6, 3)
    assert message._request_id
    assert message._request_id.startswith("req_")


def anthropic_bearer() -> None:
    bearer = anthropic.Anthropic(base_url=URL, auth_token=KEY, api_key=None, max_retries=0)
    assert bearer.messages.create(model="poet", max_tokens=100, messages=HELLO).content[0].text == "Hello there, poet"


def anthropic_stand_in() -> None:
    message = claude.messages.create(model="claude-sonnet-4-5", max_tokens=100, messages=HELLO)
    assert message.model == "poet"


def anthropic_sampling_of_older_products() -> None:
    sampling = {"temperature": 0.5, "top_p": 0.9, "top_k": 5}
    claude.messages.create(model="poet", max_tokens=100, messages=HELLO, extra_body=sampling)


def anthropic_prefill() -> None:
    begun = [*HELLO, {"role": "assistant", "content": "Hello"}]
    message = claude.messages.create(model="poet", max_tokens=100, messages=begun)
    assert message.content[0].text == " there, poet"


def anthropic_stop_sequence() -> None:
    message = claude.messages.create(model="poet", max_tokens=100, messages=HELLO, stop_sequences=["zzz", ", p"])
    assert message.content[0].text == "Hello there"
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", ", p")


def anthropic_max_tokens() -> None:
    message = claude.messages.create(model="poet", max_tokens=2, messages=HELLO)
    assert (message.content[0].text, message.stop_reason) == ("Hello there,", "max_tokens")


def anthropic_stream_helper() -> None:
    with claude.messages.stream(model="poet", max_tokens=100, messages=HELLO) as stream:
        assert "".join(stream.text_stream) == "Hello there, poet"
        message = stream.get_final_message()
    assert (message.stop_reason, message.model) == ("end_turn", "poet")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (6 - 2, 3)


def anthropic_raw_stream() -> None:
    stream = claude.messages.create(model="poet", max_tokens=100, messages=HELLO, stream=True)
    kinds = [event.type for event in stream]
    assert kinds[:2] == ["message_start", "content_block_start"], kinds
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"], kinds
    assert set(kinds[2:-3]) == {"content_block_delta"}, kinds


def anthropic_async_stream() -> None:
    async def talk() -> str:
        client = anthropic.AsyncAnthropic(base_url=URL, api_key=KEY, max_retries=0)
        async with client, client.messages.stream(model="poet", max_tokens=100, messages=HELLO) as stream:
            return "".join([text async for text in stream.text_stream])

    assert asyncio.run(talk()) == "Hello there, poet"


def anthropic_unicode() -> None:
    words = "Grüße, 🧑‍🚀! \u2028 naïve\u0085 日本\n\nline"
    said: Any = [{"role": "user", "content": f"say {words}"}]
    assert claude.messages.create(model="poet", max_tokens=100, messages=said).content[0].text == words
    with claude.messages.stream(model="poet", max_tokens=100, messages=said) as stream:
        assert stream.get_final_text() == words
    chunks = gpt.chat.completions.create(model="poet", messages=said, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == words


def anthropic_tools() -> None:
    tools: Any = [{"name": "weather", "description": "Tells the weather.", "input_schema": SCHEMA}]
    message = claude.messages.create(model="poet", max_tokens=100, messages=CALL, tools=tools)
    text, use = message.content
    assert (text.type, text.text, message.stop_reason) == ("text", "Let me see.", "tool_use")
    assert (use.type, use.name, use.input) == ("tool_use", "weather", {"city": "Ulm", "days": [1, 2]})
    with claude.messages.stream(model="poet", max_tokens=100, messages=CALL, tools=tools) as stream:
        streamed = stream.get_final_message()
    assert [block.type for block in streamed.content] == ["text", "tool_use"]
    assert streamed.content[1].input == use.input
    assert streamed.content[1].id != use.id
    answered: Any = [
        *CALL,
        {
            "role": "assistant",
            "content": [block.model_dump(include={"type", "id", "name", "input"}) for block in [use]],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "say Sunny"}]},
    ]
    last = claude.messages.create(model="poet", max_tokens=100, messages=answered, tools=tools)
    assert last.content[0].text == "Sunny"


def anthropic_count_tokens() -> None:
    assert claude.messages.count_tokens(model="poet", messages=HELLO).input_tokens == 4
    assert claude.messages.count_tokens(model="poet", messages=HELLO, system="Be brief.").input_tokens == 6


def anthropic_models() -> None:
    assert [model.id for model in claude.models.list()] == ["poet", "org/critic"]
    assert [model.id for model in claude.models.list(limit=1)] == ["poet", "org/critic"]
    model = claude.models.retrieve("org/critic")
    assert (model.type, model.id, model.created_at.year) == ("model", "org/critic", 2026)


def anthropic_errors() -> None:
    def ask(**more: Any) -> Any:
        return claude.messages.create(**({"model": "poet", "max_tokens": 9, "messages": HELLO} | more))

    wrong = anthropic.Anthropic(base_url=URL, api_key="sk-wrong", max_retries=0)
    problem = raised(anthropic.AuthenticationError, lambda: wrong.models.list())
    assert problem.body["error"]["type"] == "authentication_error"
    assert problem.request_id.startswith("req_")
    problem = raised(anthropic.NotFoundError, lambda: ask(model="nobody"))
    assert problem.body["error"] == {"type": "not_found_error", "message": "model: nobody"}
    problem = raised(anthropic.BadRequestError, lambda: ask(messages=[{"role": "user", "content": 7}]))
    assert problem.body["error"]["message"].startswith("messages.0.content: "), problem.body
    problem = raised(anthropic.BadRequestError, lambda: ask(messages=[{"role": "user", "content": "word " * 200}]))
    assert problem.body["error"]["message"] == "prompt is too long: 200 tokens > 99 maximum"
    problem = raised(anthropic.InternalServerError, lambda: ask(messages=[{"role": "user", "content": "fail"}]))
    assert problem.status_code == 500
    huge = [{"role": "user", "content": "x" * (33 * 1024 * 1024)}]
    problem = raised(anthropic._exceptions.RequestTooLargeError, lambda: ask(messages=huge))
    assert (problem.status_code, problem.body["error"]["type"]) == (413, "request_too_large")


def anthropic_error_in_the_middle_of_a_stream() -> None:
    said: Any = [{"role": "user", "content": "start and fail"}]
    stream = claude.messages.create(model="poet", max_tokens=9, messages=said, stream=True)
    problem = raised(anthropic.APIStatusError, lambda: list(stream))
    assert problem.body["error"]["type"] == "api_error"
    assert problem.body["request_id"] == problem.request_id


def anthropic_rate_limit() -> None:
    small = anthropic.Anthropic(base_url=URL, api_key=SMALL_KEY, max_retries=0)
    told = small.messages.with_raw_response.count_tokens(model="poet", messages=HELLO)
    assert told.headers["anthropic-ratelimit-requests-limit"] == "1"
    problem = raised(anthropic.RateLimitError, lambda: small.messages.count_tokens(model="poet", messages=HELLO))
    assert (problem.status_code, problem.body["error"]["type"]) == (429, "rate_limit_error")
    assert 0 < int(problem.response.headers["retry-after"]) <= 60


def anthropic_overloaded() -> None:
    busy = anthropic.Anthropic(base_url=BUSY_URL, api_key="any", max_retries=0)
    problem = raised(
        anthropic._exceptions.OverloadedError,
        lambda: busy.messages.create(model="poet", max_tokens=9, messages=HELLO),
    )
    assert (problem.status_code, problem.body["error"]["type"]) == (529, "overloaded_error")


def ended(batch: Any) -> Any:
    deadline = time.monotonic() + 60
    while batch.processing_status != "ended" and time.monotonic() < deadline:
        time.sleep(0.05)
        batch = claude.messages.batches.retrieve(batch.id)
    return batch


def anthropic_batches() -> None:
    def request(custom_id: str, **more: Any) -> Any:
        return {"custom_id": custom_id, "params": {"model": "poet", "max_tokens": 100, "messages": HELLO} | more}

    requests = [request("good"), request("bad", messages=[]), request("cut", max_tokens=1)]
    batch = claude.messages.batches.create(requests=requests)
    assert (batch.type, batch.expires_at > batch.created_at) == ("message_batch", True)
    batch = ended(batch)
    counts = batch.request_counts
    assert (counts.processing, counts.succeeded, counts.errored, counts.canceled, counts.expired) == (0, 2, 1, 0, 0)
    results = {line.custom_id: line.result for line in claude.messages.batches.results(batch.id)}
    assert results["good"].message.content[0].text == "Hello there, poet"
    assert results["cut"].message.stop_reason == "max_tokens"
    assert results["bad"].error.error.type == "invalid_request_error"
    assert batch.id in [each.id for each in claude.messages.batches.list(limit=1)]
    assert claude.messages.batches.cancel(batch.id).processing_status == "ended"
    assert claude.messages.batches.delete(batch.id).type == "message_batch_deleted"
    raised(anthropic.NotFoundError, lambda: claude.messages.batches.retrieve(batch.id))
    twice = [request("same"), request("same")]
    problem = raised(anthropic.BadRequestError, lambda: claude.messages.batches.create(requests=twice))
    assert "'same' stands here twice" in problem.body["error"]["message"]


def anthropic_strict() -> None:
    """The client's own parsers take nothing that its types do not name."""
    strict = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, _strict_response_validation=True)
    tools: Any = [{"name": "weather", "description": "Tells the weather.", "input_schema": SCHEMA}]
    for asked in ({"messages": HELLO}, {"messages": CALL, "tools": tools}, {"messages": HELLO, "max_tokens": 1}):
        request: Any = {"model": "poet", "max_tokens": 100} | asked
        message = strict.messages.create(**request)
        assert message.stop_reason in ("end_turn", "tool_use", "max_tokens")
        assert [event.type for event in strict.messages.create(**request, stream=True)][-1] == "message_stop"
        with strict.messages.stream(**request) as stream:
            assert stream.get_final_message().usage.output_tokens == message.usage.output_tokens
    assert [model.id for model in strict.models.list()] == ["poet", "org/critic"]
    assert strict.models.retrieve("poet").id == "poet"
    assert strict.messages.count_tokens(model="poet", messages=HELLO).input_tokens == 4
    request = {"custom_id": "a", "params": {"model": "poet", "max_tokens": 9, "messages": HELLO}}
    batch = strict.messages.batches.create(requests=[request])
    assert strict.messages.batches.retrieve(batch.id).id == batch.id
    ended(batch)
    assert [line.result.type for line in strict.messages.batches.results(batch.id)] == ["succeeded"]
    assert next(iter(strict.messages.batches.list(limit=1))).id == batch.id


# OpenAI's ----------------------------------------------------------------------------------------


def openai_create() -> None:
    said: Any = [{"role": "developer", "content": "Be brief."}, *HELLO]
    completion = gpt.chat.completions.create(model="poet", messages=said, max_completion_tokens=100)
    (choice,) = completion.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "Hello there, poet")
    assert (choice.finish_reason, completion.model, completion.object) == ("stop", "poet", "chat.completion")
    usage = completion.usage
    assert usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (6, 3, 9)
    assert completion._request_id
    assert completion._request_id.startswith("req_")


def openai_stand_in() -> None:
    assert gpt.chat.completions.create(model="gpt-4o-mini", messages=HELLO).model == "poet"


def openai_stream() -> None:
    chunks = list(gpt.chat.completions.create(model="poet", messages=HELLO, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello there, poet"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


def openai_stream_with_usage() -> None:
    options: Any = {"include_usage": True}
    chunks = list(gpt.chat.completions.create(model="poet", messages=HELLO, stream=True, stream_options=options))
    assert chunks[-1].choices == []
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == 3


def openai_stream_helper() -> None:
    with gpt.chat.completions.stream(model="poet", messages=HELLO) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "Hello there, poet"


def openai_several_choices() -> None:
    said: Any = [{"role": "user", "content": "seed"}]
    completion = gpt.chat.completions.create(model="poet", messages=said, n=3, seed=5, temperature=1)
    assert [choice.message.content for choice in completion.choices] == ["5", "6", "7"]
    chunks = gpt.chat.completions.create(model="poet", messages=said, n=2, seed=5, temperature=1, stream=True)
    told = {(c.index, c.delta.content) for chunk in chunks for c in chunk.choices if c.delta.content}
    assert told == {(0, "5"), (1, "6")}


def openai_stop_and_length() -> None:
    completion = gpt.chat.completions.create(model="poet", messages=HELLO, stop=", p", max_tokens=9)
    assert (completion.choices[0].message.content, completion.choices[0].finish_reason) == ("Hello there", "stop")
    completion = gpt.chat.completions.create(model="poet", messages=HELLO, max_tokens=1)
    assert (completion.choices[0].message.content, completion.choices[0].finish_reason) == ("Hello", "length")


def openai_tools() -> None:
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    completion = gpt.chat.completions.create(model="poet", messages=CALL, tools=tools)
    choice = completion.choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls or ()
    assert (call.type, call.function.name) == ("function", "weather")
    assert json.loads(call.function.arguments) == {"city": "Ulm", "days": [1, 2]}
    with gpt.chat.completions.stream(model="poet", messages=CALL, tools=tools) as stream:
        for _ in stream:
            pass
        (streamed,) = stream.get_final_completion().choices[0].message.tool_calls or ()
    assert streamed.function.arguments == call.function.arguments
    said = choice.message.model_dump(include={"role", "content", "tool_calls"})
    answered: Any = [*CALL, said, {"role": "tool", "tool_call_id": call.id, "content": "say Sunny"}]
    last = gpt.chat.completions.create(model="poet", messages=answered, tools=tools)
    assert last.choices[0].message.content == "Sunny"


def openai_models() -> None:
    assert [(model.id, model.object) for model in gpt.models.list()] == [("poet", "model"), ("org/critic", "model")]
    assert gpt.models.retrieve("org/critic").owned_by == "sonneteer"


def openai_errors() -> None:
    def ask(**more: Any) -> Any:
        return gpt.chat.completions.create(**({"model": "poet", "messages": HELLO} | more))

    wrong = openai.OpenAI(base_url=f"{URL}/v1", api_key="sk-wrong", max_retries=0)
    problem = raised(openai.AuthenticationError, lambda: wrong.models.list())
    assert (problem.code, problem.request_id[:4]) == ("invalid_api_key", "req_")
    problem = raised(openai.NotFoundError, lambda: ask(model="nobody"))
    assert (problem.code, problem.param) == ("model_not_found", "model")
    problem = raised(openai.BadRequestError, lambda: ask(temperature="warm"))
    assert (problem.param, problem.type) == ("temperature", "invalid_request_error")
    problem = raised(openai.BadRequestError, lambda: ask(messages=[{"role": "user", "content": "word " * 200}]))
    assert problem.code == "context_length_exceeded"
    # This model is no engine of ours, so what needs one is refused in words.
    for refused, words in (({"response_format": {"type": "json_object"}}, "schema"), ({"logprobs": True}, "likely")):
        problem = raised(openai.BadRequestError, lambda more=refused: ask(**more))
        assert words in problem.message
    problem = raised(openai.InternalServerError, lambda: ask(messages=[{"role": "user", "content": "fail"}]))
    assert problem.status_code == 500


def openai_error_in_the_middle_of_a_stream() -> None:
    said: Any = [{"role": "user", "content": "start and fail"}]
    stream = gpt.chat.completions.create(model="poet", messages=said, stream=True)
    problem = raised(openai.APIError, lambda: list(stream))
    assert "failed" in problem.message


def openai_files() -> None:
    content = '{"messages": "Grüße"}\n'.encode()
    file = gpt.files.create(file=("train.jsonl", content), purpose="fine-tune")
    assert (file.object, file.bytes, file.filename, file.status) == ("file", len(content), "train.jsonl", "processed")
    assert gpt.files.retrieve(file.id).purpose == "fine-tune"
    assert gpt.files.content(file.id).read() == content
    assert file.id in [each.id for each in gpt.files.list(purpose="fine-tune")]
    assert [each.id for each in gpt.files.list(purpose="vision")] == []
    assert gpt.files.delete(file.id).deleted is True
    problem = raised(openai.NotFoundError, lambda: gpt.files.retrieve(file.id))
    assert problem.code == "file_not_found"
    problem = raised(openai.BadRequestError, lambda: gpt.files.create(file=("a", b"a"), purpose="fun"))
    assert problem.param == "purpose"


def openai_batches() -> None:
    def line(custom_id: str, **more: Any) -> str:
        body = {"model": "poet", "messages": HELLO} | more
        request = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
        return json.dumps(request) + "\n"

    def batch_of(text: str) -> Any:
        file = gpt.files.create(file=("batch.jsonl", text.encode()), purpose="batch")
        batch = gpt.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"team": "a"}
        )
        deadline = time.monotonic() + 60
        while batch.status in ("validating", "in_progress", "finalizing") and time.monotonic() < deadline:
            time.sleep(0.05)
            batch = gpt.batches.retrieve(batch.id)
        return batch

    batch = batch_of(line("good") + line("bad", temperature=9))
    counts = batch.request_counts
    assert (batch.status, counts.total, counts.completed, counts.failed) == ("completed", 2, 1, 1), batch
    assert batch.metadata == {"team": "a"}
    told = json.loads(gpt.files.content(batch.output_file_id).read())
    assert told["response"]["body"]["choices"][0]["message"]["content"] == "Hello there, poet"
    told = json.loads(gpt.files.content(batch.error_file_id).read())
    assert (told["custom_id"], told["response"]["status_code"]) == ("bad", 400)
    assert batch.id in [each.id for each in gpt.batches.list(limit=1)]
    failed = batch_of(line("one") + "no JSON\n" + line("one"))
    assert failed.status == "failed"
    assert [(each.line, each.code) for each in failed.errors.data] == [
        (2, "invalid_json_line"),
        (3, "duplicate_custom_id"),
    ]


def openai_strict() -> None:
    """The client's own parsers take nothing that its types do not name."""
    strict = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, _strict_response_validation=True)
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    for asked in ({"messages": HELLO}, {"messages": CALL, "tools": tools}, {"messages": HELLO, "max_tokens": 1}):
        request: Any = {"model": "poet"} | asked
        assert strict.chat.completions.create(**request).choices[0].finish_reason
        options: Any = {"include_usage": True}
        chunks = list(strict.chat.completions.create(**request, stream=True, stream_options=options))
        assert chunks[-1].usage
    assert [model.id for model in strict.models.list()] == ["poet", "org/critic"]
    file = strict.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    assert strict.files.list(limit=1).data[0].id == file.id
    batch = strict.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert strict.batches.retrieve(batch.id).status == "failed"
    assert strict.files.delete(file.id).deleted


def openai_rate_limit() -> None:
    small = openai.OpenAI(base_url=f"{URL}/v1", api_key=SMALL_KEY, max_retries=0)
    problem = raised(openai.RateLimitError, lambda: [small.models.list(), small.models.list()])
    assert (problem.status_code, problem.type, problem.code) == (429, "rate_limit_exceeded", "rate_limit_exceeded")
    assert problem.response.headers["x-ratelimit-remaining-requests"] == "0"


def openai_overloaded() -> None:
    busy = openai.OpenAI(base_url=f"{BUSY_URL}/v1", api_key="any", max_retries=0)
    problem = raised(openai.InternalServerError, lambda: busy.chat.completions.create(model="poet", messages=HELLO))
    assert (problem.status_code, problem.code) == (503, "overloaded")


def main() -> None:
    found = {}
    for name, check in list(globals().items()):
        if name.startswith(("anthropic_", "openai_")) and callable(check):
            try:
                check()
                found[name] = "ok"
            except Exception:
                found[name] = traceback.format_exc(limit=-4)
    print(json.dumps({"anthropic": anthropic.__version__, "openai": openai.__version__, "found": found}))


if __name__ == "__main__":
    main()
