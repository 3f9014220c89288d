"""OpenAI's older Completions API: plain text or token ids that the model goes on from, and how likely they are.

`suffix` is refused, and `best_of` where it differs from `n`; `user` is taken and has no effect. The mark that ends an
answer stands among the tokens of `logprobs` and not in the text, as in OpenAI's own, and `stop` takes more than four
texts: evaluation harnesses count on both.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import accumulate
from typing import Annotated

from pydantic import Field, model_validator

from sonneteer.chat import Answer, Chance
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Message, Prompt
from sonneteer.serving.asked import Asked, Sampling, options_of
from sonneteer.serving.openai import StreamOptions, bias_of
from sonneteer.serving.openai_answers import DONE, FINISH_REASONS, frame, head, usage
from sonneteer.serving.turns import Turn
from sonneteer.serving.wire import Body, Wire

DEFAULT_TOKENS = 16  # as in OpenAI's API
Several = Field(max_length=128)


class TextRequest(Wire):
    """The body of POST /v1/completions."""

    model: str
    prompt: str | list[int] | Annotated[list[str], Several] | Annotated[list[list[int]], Several]
    max_tokens: int | None = Field(None, ge=0)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    n: int | None = Field(None, ge=1, le=128)
    best_of: int | None = None
    suffix: str | None = None
    echo: bool | None = None
    logprobs: int | None = Field(None, ge=0, le=5)
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)

    @model_validator(mode="after")
    def _is_possible(self) -> TextRequest:
        if self.suffix:
            raise ValueError("suffix: text cannot be filled in here; leave it out")
        if self.best_of not in (None, self.n or 1):
            raise ValueError("best_of: only the answers that are asked for are written; leave it out")
        if self.stream and self.echo:
            raise ValueError("echo: a stream brings only what is new; leave one of them out")
        if not self.prompt or [] in (self.prompt if isinstance(self.prompt, list) else []):
            raise ValueError("prompt: there is nothing to read")
        return self

    @property
    def sources(self) -> list[str | tuple[int, ...]]:
        """Each prompt by itself."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [tuple(token for token in self.prompt if isinstance(token, int))]
        return [part if isinstance(part, str) else tuple(part) for part in self.prompt if not isinstance(part, int)]


def asked(request: TextRequest, settings: ServingSettings, seed: int) -> Asked:
    """What the request asks: `n` answers to each prompt."""
    stop = [request.stop] if isinstance(request.stop, str) else request.stop or ()
    wanted = DEFAULT_TOKENS if request.max_tokens is None else request.max_tokens
    sampling = Sampling(wanted, request.temperature, request.top_p, None, stop)
    first = (seed if request.seed is None else request.seed) % 2**63
    options = options_of(sampling, "", settings, first).model_copy(
        update={
            "frequency_penalty": request.frequency_penalty or 0.0,
            "presence_penalty": request.presence_penalty or 0.0,
            "logit_bias": bias_of(request.logit_bias),
            "log_probs": request.logprobs,
            "scores_prompt": bool(request.echo),
        }
    )
    sources, count = request.sources, request.n or 1
    said = "\n".join(source if isinstance(source, str) else f"{len(source)} tokens" for source in sources)
    return Asked(
        prompt=Prompt(messages=(Message(role="user", text=said),)),
        choices=tuple(
            options.model_copy(update={"seed": (first + number) % 2**63}) for _ in sources for number in range(count)
        ),
        texts=tuple(source for source in sources for _ in range(count)),
    )


def completion(turn: Turn, answers: Sequence[Answer], has_echo: bool) -> Body:
    """Whole answers, with `echo` behind their prompts."""
    choices = []
    for index, answer in enumerate(answers):
        given = answer.prompt_chances if has_echo else ()
        text = b"".join(chance.raw for chance in given).decode(errors="replace") + answer.text
        has_chances = turn.asked.choices[index].log_probs is not None
        told = _log_probs((*given, *answer.chances, *answer.end_chances)) if has_chances else None
        reason = FINISH_REASONS[answer.stop_reason]
        choices.append({"index": index, "text": text, "logprobs": told, "finish_reason": reason})
    return _head(turn) | {"choices": choices, "usage": usage(answers)}


async def events(turn: Turn, has_usage: bool) -> AsyncGenerator[bytes, None]:
    """Answers as they come, one after the other."""
    answers: list[Answer] = []
    for index, options in enumerate(turn.asked.choices):
        offset = 0
        async with aclosing(turn.pieces(index)) as pieces:
            async for piece in pieces:
                chances = (*piece.chances, *(piece.answer.end_chances if piece.answer else ()))
                told = _log_probs(chances, offset) if options.log_probs is not None else None
                offset += len(piece.text)
                reason = FINISH_REASONS[piece.answer.stop_reason] if piece.answer else None
                choice = {"index": index, "text": piece.text, "logprobs": told, "finish_reason": reason}
                yield frame(_head(turn) | {"choices": [choice]})
                if piece.answer is not None:
                    answers.append(piece.answer)
    if has_usage:
        yield frame(_head(turn) | {"choices": [], "usage": usage(answers)})
    yield DONE


def _head(turn: Turn) -> Body:
    return head("text_completion", turn, "cmpl-")


def _log_probs(chances: Sequence[Chance], offset: int = 0) -> Body:
    tokens = [chance.raw.decode(errors="replace") for chance in chances]
    offsets = list(accumulate(map(len, tokens), initial=offset))[:-1]
    # The likeliest last: halves of characters may look alike.
    others = [{raw.decode(errors="replace"): value for raw, value in reversed(chance.others)} for chance in chances]
    return {
        "tokens": tokens,
        "token_logprobs": [chance.log_prob for chance in chances],
        "top_logprobs": [
            None if chance.log_prob is None else told for chance, told in zip(chances, others, strict=True)
        ],
        "text_offset": offsets,
    }
