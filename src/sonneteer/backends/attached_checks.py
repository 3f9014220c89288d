"""A version as a vLLM server answers with it, behind our own gateway and over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from sonneteer.backends.certify import Known, check_form, check_rendering
from sonneteer.backends.engine_checks import GREEDY_TOKENS, Reference, check_greedy
from sonneteer.backends.http_checks import LIKELIEST, OverHttp, listening
from sonneteer.errors import BusyError, RequestError
from sonneteer.models.attached.engine import AttachedEngine
from sonneteer.models.engine.chat import EngineChat
from sonneteer.models.proof import BFLOAT16, Told, Trace, told_distance
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Check, Message
from sonneteer.records.rows import as_openai

PLACES = 24
"""Tokens of each reference answer that are asked for, one request each."""


def check_attached(chat: EngineChat, known: Known, reference: Reference, settings: ServingSettings) -> list[Check]:
    """Tokens, distributions and greedy answers. vLLM computes in its own precision, which bfloat16 explains."""
    assert isinstance(chat.engine, AttachedEngine), "this one is served elsewhere"
    tokenizer = chat.engine.reader.tokenizer
    checks = check_rendering("vLLM", known.renderer, chat.engine.reader.renderer, known.probes)
    with listening(reference.model.name, chat, settings) as served:

        def answer(messages: Sequence[Message]) -> str:
            asked = {"messages": [as_openai(one) for one in messages], "max_tokens": GREEDY_TOKENS}
            return str(served.ask("/v1/chat/completions", asked)["choices"][0]["message"]["content"] or "")

        try:
            texts = [str(tokenizer.decode([token])) for token in range(len(known.trained[0].next_V))]
            told = [_told(served, trace, texts) for trace in known.trained]
            form = "the model that vLLM answers with, over HTTP,"
            checks += check_form(form, known, lambda traces: told_distance(traces, told, texts), BFLOAT16)
            return [*checks, check_greedy("vLLM", answer, reference)]
        except (BusyError, RequestError) as problem:
            return [*checks, unmade(problem)]


def unmade(problem: Exception) -> Check:
    """vLLM could not be asked, which proves nothing."""
    says = f"This check could not be made. {problem} To certify without vLLM: --serving.engine embedded."
    return Check(name="vLLM answers as the served model does", is_passed=False, says=says)


def _told(served: OverHttp, trace: Trace, texts: Sequence[str]) -> Told:
    """What it finds likely at each of the first places of the reference answer.

    Of a token that is not among the likeliest it is known that it is no likelier than the last of these.
    """
    ids, first = trace.ids.tolist(), len(trace.ids) - len(trace.answer_A)
    rows = [_likeliest(served, ids[:place]) for place in range(first, min(len(ids), first + PLACES))]
    written = zip(ids[first:], trace.answer_A.tolist(), rows, strict=False)
    log_probs = [row.get(texts[token], min(ours, *row.values())) for token, ours, row in written]
    return Told(rows[0], log_probs, [max(row, key=lambda text: row[text]) for row in rows])


def _likeliest(served: OverHttp, ids: Sequence[int]) -> dict[str, float]:
    told = served.ask("/v1/completions", {"prompt": list(ids), "max_tokens": 1, "logprobs": LIKELIEST})
    rows: list[dict[str, float]] = told["choices"][0]["logprobs"]["top_logprobs"]
    if not rows or not rows[0]:
        raise RequestError("It does not say how likely it finds its words.")
    return rows[0]
