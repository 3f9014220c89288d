"""The model as it is served, opened as `sonneteer serve` opens it: in one batch with another adapter, and over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event

from sonneteer.backends.certify import Known, check_form, check_rendering
from sonneteer.backends.http_checks import OverHttp, Row, Served, check_answers, listening
from sonneteer.chat import Answer, Options, Piece
from sonneteer.errors import RequestError
from sonneteer.models.engine.answering import Loaded
from sonneteer.models.engine.chat import EngineChat
from sonneteer.models.engine.engine import READ_BESIDE, AnsweringEngine
from sonneteer.models.generate import LocalChat
from sonneteer.models.load import LanguageModel
from sonneteer.models.proof import BFLOAT16, FLOAT32, Told, Tolerance, Trace, distance, told_distance, traces
from sonneteer.models.render import TemplateRenderer
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Check

LIKELIEST = 20
MOST_STEPS = 64
PATIENCE_SECONDS = 60.0
Reading = Callable[[LanguageModel], TemplateRenderer]
"""Reads with a model's tokenizer as the training did."""


def check_served(name: str, chat: Served, known: Known, reading: Reading, settings: ServingSettings) -> list[Check]:
    """Tokens, distributions and answers of a served model, in memory and over HTTP."""
    own = BFLOAT16 if settings.precision == "bfloat16" else FLOAT32
    model = chat.model if isinstance(chat, LocalChat) else _engine(chat).model
    renderer = reading(model)
    checks = check_rendering("server", known.renderer, renderer, known.probes)
    with listening(name, chat, settings) as served:
        if isinstance(chat, LocalChat):
            seen = traces(model.network, renderer, known.probes)
            checks += check_form("the served model", known, lambda one: distance(one, seen), own)
        else:
            checks += _likelihoods(chat, served, known, own)
        return [*checks, check_answers(chat, served, known.probes)]


def _likelihoods(chat: EngineChat, served: OverHttp, known: Known, own: Tolerance) -> list[Check]:
    """How likely the probes' tokens are to the engine, and to whoever asks over HTTP."""
    asked = [one.ids.tolist()[: chat.context - 1] for one in known.trained]
    texts = [_text(_engine(chat).token_bytes(token)) for token in range(len(known.trained[0].next_V))]

    def checked(form: str, rows: Sequence[Sequence[Row]]) -> list[Check]:
        told = [_told(*both) for both in zip(known.trained, rows, strict=True)]
        return check_form(form, known, lambda traces: told_distance(traces, told, texts), own)

    beside = ", an adapter beside its base in one batch with another," if chat.adapter else ""
    try:
        checks = checked(f"the served model{beside}", _rows(chat, asked))
        return [*checks, *checked("the model over HTTP", [served.rows(ids) for ids in asked])]
    except RequestError as problem:
        return [Check(name="the served model reads what the training read", is_passed=False, says=str(problem))]


def _engine(chat: EngineChat) -> AnsweringEngine:
    assert isinstance(chat.engine, AnsweringEngine), "what is certified is served in this process"
    return chat.engine


def _rows(chat: EngineChat, asked: Sequence[Sequence[int]]) -> list[list[Row]]:
    """Each token's likelihood, asked while the same engine answers by another adapter."""
    options = Options(max_tokens=0, log_probs=LIKELIEST, scores_prompt=True)
    with _company(chat, asked):
        return [_rows_of(answer) for answer in chat.answer([tuple(ids) for ids in asked], options)]


@contextmanager
def _company(chat: EngineChat, asked: Sequence[Sequence[int]]) -> Iterator[None]:
    """An answer by the opposite adapter, that is being written until all who are asked have come in beside it."""
    if not isinstance(chat.adapter, Loaded):
        yield
        return
    engine, is_under_way, is_over = _engine(chat), Event(), Event()

    def wait_for_all(_: Piece | Exception) -> None:
        """At the first word. The engine waits meanwhile: this is called by its own thread."""
        if not is_under_way.is_set():
            is_under_way.set()
            end = time.monotonic() + PATIENCE_SECONDS
            while engine.figures().waiting < len(asked) and not is_over.is_set() and time.monotonic() < end:
                time.sleep(0.001)

    opposite = [
        {place: factors._replace(b_OR=-factors.b_OR) for place, factors in layer.items()}
        for layer in chat.adapter.tables
    ]
    letter = engine.prompt_ids("a")[-1:]  # always this one, so that each step tells a piece
    steps = MOST_STEPS + sum(map(len, asked)) // READ_BESIDE
    options = Options(max_tokens=steps, logit_bias=dict.fromkeys(letter, 100.0))
    answering = engine.begin(tuple(letter), options, wait_for_all, Loaded("opposite", opposite))
    try:
        is_under_way.wait(PATIENCE_SECONDS)
        yield
    finally:
        is_over.set()
        answering.cancel()


def _rows_of(answer: Answer) -> list[Row]:
    return [
        (chance.log_prob, {_text(raw): value for raw, value in reversed(chance.others)})
        for chance in answer.prompt_chances
    ]


def _told(trace: Trace, rows: Sequence[Row]) -> Told:
    """Of the answer's tokens, as far as the engine has room."""
    answer = rows[len(trace.ids) - len(trace.answer_A) :]
    return Told(
        next=answer[0][1] if answer else {},
        answer_A=[float("-inf") if log_prob is None else log_prob for log_prob, _ in answer],
        choices_A=[max(likeliest, key=lambda text: likeliest[text]) for _, likeliest in answer],
    )


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
