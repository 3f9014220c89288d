"""How llama.cpp's and vLLM's servers are asked for what follows token ids, and how their events are read.

Both get our own token ids and no conversation: template, tools, stop sequences, ids and errors stay on our side, so
that nothing of these servers' own dialects reaches a client.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from sonneteer.chat import Chance, Options
from sonneteer.errors import RequestError
from sonneteer.models.attached.http import Body
from sonneteer.models.attached.pictures import as_chat
from sonneteer.models.engine.guides import COMPACT
from sonneteer.records import Prompt

Decode = Callable[[int], bytes]


class Call(NamedTuple):
    """What is to be written after which tokens."""

    ids: Sequence[int]
    options: Options
    max_tokens: int
    model: str
    """Base or adapter, by the server's name for it."""
    json_schema: dict[str, Any] | None = None
    seen: Prompt | None = None
    """A conversation with images, which the server's own template must lay out in place of the tokens."""
    begun: str = ""
    """The answer's first words, for that case."""


class Told(NamedTuple):
    """One event: what is new."""

    text: str
    written: int | None = None
    """Tokens so far."""
    cached: int | None = None
    """Tokens of the prompt that had been read before."""
    end: Literal["end", "length"] | None = None
    chances: tuple[Chance, ...] = ()
    read: int | None = None
    """Tokens of the prompt."""


class Dialect(Protocol):
    """A server's language."""

    def path(self, call: Call) -> str:
        """Where this is asked."""
        ...

    def body(self, call: Call) -> Body:
        """The request. Raises RequestError for what this server cannot do as we mean it."""
        ...

    def read(self, event: Body) -> Told:
        """What an event tells."""
        ...


class LlamaCppDialect:
    """llama.cpp's own /completion: all samplers but the wanted ones are off."""

    def path(self, call: Call) -> str:
        """Where this is asked."""
        return "/completion"

    def body(self, call: Call) -> Body:
        """The request."""
        options = call.options
        if options.frequency_penalty or options.presence_penalty:
            raise RequestError(
                "frequency_penalty and presence_penalty: llama.cpp would count the prompt's words, too. Serve the "
                "model with serving.engine 'embedded' for these."
            )
        body = {
            "prompt": list(call.ids),
            "n_predict": call.max_tokens,
            "temperature": options.temperature,
            "top_k": options.top_k or 0,
            "top_p": options.top_p,
            "min_p": 0.0,
            "samplers": ["top_k", "top_p", "temperature"],
            "seed": options.seed % 2**32,
            "logit_bias": [[token, bias] for token, bias in options.logit_bias.items()],
            "stream": True,
            "cache_prompt": True,
        }
        if options.log_probs is not None:
            body["n_probs"] = max(options.log_probs, 1)
        if call.json_schema is not None:
            body["json_schema"] = call.json_schema | {"x-guidance": COMPACT}
        return body

    def read(self, event: Body) -> Told:
        """What an event tells."""
        if "error" in event:
            raise RequestError(str(event["error"].get("message", event["error"])))
        end: Literal["end", "length"] | None = None
        if event.get("stop"):
            end = "length" if event.get("stop_type") == "limit" else "end"
        cached = (event.get("timings") or {}).get("cache_n")
        chances = tuple(_llama_chance(one) for one in event.get("completion_probabilities") or ())
        return Told(event.get("content", ""), event.get("tokens_predicted"), cached, end, chances)


def _llama_chance(one: Body) -> Chance:
    others = tuple((bytes(other["bytes"]), float(other["logprob"])) for other in one["top_logprobs"])
    return Chance(int(one["id"]), bytes(one["bytes"]), float(one["logprob"]), others)


class VllmDialect:
    """vLLM's OpenAI-compatible /v1/completions with token ids; conversations with images as /v1/chat/completions."""

    def __init__(self, stop_ids: Sequence[int], decode: Decode) -> None:
        self._stop_ids = list(stop_ids)
        self._decode = decode

    def path(self, call: Call) -> str:
        """Where this is asked."""
        return "/v1/chat/completions" if call.seen else "/v1/completions"

    def body(self, call: Call) -> Body:
        """The request."""
        options = call.options
        body: Body = {
            "model": call.model,
            **(as_chat(call.seen, call.begun) if call.seen else {"prompt": list(call.ids)}),
            "max_tokens": call.max_tokens,
            "temperature": options.temperature,
            "top_p": options.top_p,
            "top_k": options.top_k or -1,
            "seed": options.seed % 2**63,
            "frequency_penalty": options.frequency_penalty,
            "presence_penalty": options.presence_penalty,
            "stop_token_ids": self._stop_ids,
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        }
        if options.logit_bias:
            body["logit_bias"] = {str(token): bias for token, bias in options.logit_bias.items()}
        if options.log_probs is not None:
            told = (
                {"logprobs": True, "top_logprobs": options.log_probs} if call.seen else {"logprobs": options.log_probs}
            )
            body |= told | {"return_tokens_as_token_ids": True}
        return body | ({"structured_outputs": {"json": call.json_schema}} if call.json_schema is not None else {})

    def read(self, event: Body) -> Told:
        """What an event tells."""
        if "error" in event:
            error = event["error"]
            raise RequestError(str(error.get("message") if isinstance(error, dict) else error))
        usage = event.get("usage") or {}
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        for choice in event.get("choices") or ():
            reason = choice.get("finish_reason")
            end: Literal["end", "length"] | None = ("length" if reason == "length" else "end") if reason else None
            logprobs = choice.get("logprobs") or {}
            chances = _chat_chances(logprobs) if "content" in logprobs else self._chances(logprobs)
            text = choice.get("text") or choice.get("delta", {}).get("content") or ""
            return Told(text, usage.get("completion_tokens"), cached, end, chances, usage.get("prompt_tokens"))
        return Told("", usage.get("completion_tokens"), cached)

    def _chances(self, told: Body) -> tuple[Chance, ...]:
        rows = zip(told.get("tokens") or (), told.get("token_logprobs") or (), strict=True)
        tops = told.get("top_logprobs") or []
        chances = []
        for place, (name, log_prob) in enumerate(rows):
            token = _token(name)
            others = sorted((tops[place] or {}).items(), key=lambda item: -item[1]) if place < len(tops) else []
            decoded = tuple((self._decode(_token(other)), float(value)) for other, value in others)
            chances.append(Chance(token, self._decode(token), log_prob, decoded))
        return tuple(chances)


def _chat_chances(told: Body) -> tuple[Chance, ...]:
    return tuple(
        Chance(
            _token(one["token"]),
            bytes(one["bytes"]),
            float(one["logprob"]),
            tuple((bytes(other["bytes"]), float(other["logprob"])) for other in one.get("top_logprobs") or ()),
        )
        for one in told["content"] or ()
    )


def _token(name: str) -> int:
    return int(name.removeprefix("token_id:"))
