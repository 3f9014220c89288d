"""How llama.cpp's server is asked for what follows token ids, and how its events are read.

It gets our own token ids and no conversation: template, tools, stop sequences, ids and errors stay on our side, so
that nothing of its own dialect reaches a client.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

from sonneteer.chat import Chance, Options
from sonneteer.errors import RequestError
from sonneteer.models.attached.http import Body
from sonneteer.models.engine.guides import COMPACT


class Call(NamedTuple):
    """What is to be written after which tokens."""

    ids: Sequence[int]
    options: Options
    max_tokens: int
    model: str
    """Base or adapter, by the server's name for it."""
    json_schema: dict[str, Any] | None = None


class Told(NamedTuple):
    """One event: what is new."""

    text: str
    written: int | None = None
    """Tokens so far."""
    cached: int | None = None
    """Tokens of the prompt that had been read before."""
    end: Literal["end", "length"] | None = None
    chances: tuple[Chance, ...] = ()


class Dialect(Protocol):
    """A server's language."""

    path: str

    def body(self, call: Call) -> Body:
        """The request. Raises RequestError for what this server cannot do as we mean it."""
        ...

    def read(self, event: Body) -> Told:
        """What an event tells."""
        ...


class LlamaCppDialect:
    """llama.cpp's own /completion: all samplers but the wanted ones are off."""

    path = "/completion"

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
