"""The endpoints, and the application that holds them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from sonneteer.errors import MissingError, RecipeError, RequestError, SonneteerError
from sonneteer.recipe.sections import ServingSettings
from sonneteer.serving import anthropic, anthropic_answers, openai, openai_answers, openai_text
from sonneteer.serving.asked import Asked
from sonneteer.serving.events import EventStream, unless_gone
from sonneteer.serving.feedback import FeedbackRequest, reply_to
from sonneteer.serving.keys import Keys
from sonneteer.serving.limits import Meters
from sonneteer.serving.lineup import Lineup, Others, PageRequest, ServedModel
from sonneteer.serving.porter import HEALTH, Porter, dialect_of, is_loopback, speaks_anthropic
from sonneteer.serving.refusals import OVERLOADED, Refusal
from sonneteer.serving.shadow import Shadow
from sonneteer.serving.traffic import Witness, visit_of
from sonneteer.serving.turns import Turn, Turns
from sonneteer.serving.watch import Watch
from sonneteer.serving.wire import error_reply, read, read_query, reply

MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"
COMPLETIONS = "/v1/chat/completions"
TEXTS = "/v1/completions"
MODELS = "/v1/models"
FEEDBACK = "/v1/feedback"
METRICS = "/metrics"
PATHS = (COUNT_TOKENS, MESSAGES, COMPLETIONS, TEXTS, MODELS, FEEDBACK)


def create_app(
    models: Sequence[ServedModel],
    settings: ServingSettings,
    keys: Keys,
    chance: random.Random | None = None,
    watch: Watch | None = None,
    others: Others | None = None,
) -> FastAPI:
    """The server as an ASGI application. Raises RecipeError for an address that others reach and no keys.

    `chance` draws the seeds of requests that bring none. `watch` is told what happens; without it nothing is written
    down.
    """
    if not keys.names and not is_loopback(settings.host):
        raise RecipeError(
            f"serving.host is '{settings.host}', which other machines can reach, so an API key is needed and there is "
            "none yet. Create one with `sonneteer key add NAME`, or listen on 127.0.0.1."
        )
    turns = Turns(settings.max_queue, settings.timeout_seconds)
    watch = watch or Watch()
    lineup = Lineup(models, settings.stand_in_for, others)
    endpoints = Endpoints(lineup, turns, settings, chance or random.Random(), watch)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        turns.close()
        await asyncio.to_thread(watch.close)

    # No documentation pages: they would load their scripts from elsewhere.
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, lifespan=lifespan)
    app.add_api_route(MESSAGES, endpoints.create_message, methods=["POST"])
    app.add_api_route(COUNT_TOKENS, endpoints.count_tokens, methods=["POST"])
    app.add_api_route(COMPLETIONS, endpoints.create_completion, methods=["POST"])
    app.add_api_route(TEXTS, endpoints.create_text, methods=["POST"])
    app.add_api_route(MODELS, endpoints.list_models, methods=["GET"])
    app.add_api_route(MODELS + "/{name:path}", endpoints.retrieve_model, methods=["GET"])
    app.add_api_route(FEEDBACK, endpoints.create_feedback, methods=["POST"])
    app.add_api_route(METRICS, endpoints.metrics, methods=["GET"])
    app.add_api_route(HEALTH, endpoints.health, methods=["GET"])
    app.add_exception_handler(HTTPException, _no_such_route)
    app.add_middleware(Porter, keys=keys, meters=endpoints.meters)
    return app


class Endpoints:
    """What is done for each path."""

    def __init__(
        self,
        lineup: Lineup,
        turns: Turns,
        settings: ServingSettings,
        chance: random.Random,
        watch: Watch,
    ) -> None:
        self._lineup = lineup
        self._turns = turns
        self._settings = settings
        self._chance = chance
        self._watch = watch
        self.meters = Meters()

    async def create_message(self, request: Request) -> Response:
        """Anthropic's answer."""
        wanted = await read(request, anthropic.MessagesRequest)
        served = await self._lineup.found(wanted.model)
        asked = anthropic.asked(wanted, self._settings, self._seed())
        turn = await self._begin(served, asked, request)
        if wanted.stream:
            dialect = anthropic_answers.DIALECT
            return EventStream(anthropic_answers.events(turn), turn, dialect, request.state.request_id)
        with turn:
            (answer,) = await unless_gone(request.receive, turn.answers(), turn.seconds)
            return reply(anthropic_answers.message(turn, answer))

    async def count_tokens(self, request: Request) -> Response:
        """How many tokens a request would have."""
        wanted = await read(request, anthropic.CountRequest)
        served = await self._lineup.found(wanted.model)
        conversation = anthropic.asked(wanted, self._settings, seed=0).conversation
        return reply({"input_tokens": await self._turns.count(served, conversation)})

    async def create_completion(self, request: Request) -> Response:
        """OpenAI's answer."""
        wanted = await read(request, openai.ChatRequest)
        served = await self._lineup.found(wanted.model)
        asked = openai.asked(wanted, self._settings, self._seed())
        turn = await self._begin(served, asked, request)
        if wanted.stream:
            has_usage = bool(wanted.stream_options and wanted.stream_options.include_usage)
            events = openai_answers.events(turn, has_usage)
            return EventStream(events, turn, openai_answers.DIALECT, request.state.request_id)
        with turn:
            answers = await unless_gone(request.receive, turn.answers(), turn.seconds)
            return reply(openai_answers.completion(turn, answers))

    async def create_text(self, request: Request) -> Response:
        """OpenAI's older API: plain text or token ids go on."""
        wanted = await read(request, openai_text.TextRequest)
        served = await self._lineup.found(wanted.model)
        asked = openai_text.asked(wanted, self._settings, self._seed())
        turn = await self._begin(served, asked, request)
        if wanted.stream:
            has_usage = bool(wanted.stream_options and wanted.stream_options.include_usage)
            events = openai_text.events(turn, has_usage)
            return EventStream(events, turn, openai_answers.DIALECT, request.state.request_id)
        with turn:
            answers = await unless_gone(request.receive, turn.answers(), turn.seconds)
            return reply(openai_text.completion(turn, answers, has_echo=bool(wanted.echo)))

    async def list_models(self, request: Request) -> Response:
        """What is served. Both APIs have this path, with different answers."""
        if not speaks_anthropic(request.headers):
            return reply(openai_answers.models_page(list(self._lineup.models.values())))
        page = self._lineup.page(read_query(request, PageRequest))
        return reply(anthropic_answers.models_page(page, self._settings.max_answer_tokens))

    async def retrieve_model(self, request: Request) -> Response:
        """One model."""
        served = await self._lineup.found(request.path_params["name"])
        if speaks_anthropic(request.headers):
            return reply(anthropic_answers.model_entry(served, self._settings.max_answer_tokens))
        return reply(openai_answers.model_entry(served))

    async def create_feedback(self, request: Request) -> Response:
        """Keep what somebody says of an answer."""
        wanted = await read(request, FeedbackRequest)
        try:
            return reply(reply_to(await asyncio.to_thread(self._watch.say, wanted)))
        except (MissingError, RequestError) as problem:
            raise Refusal(404, str(problem), field="message_id") from problem
        except SonneteerError as problem:
            raise Refusal(OVERLOADED, f"The feedback cannot be kept at the moment: {problem}") from problem

    async def health(self) -> Response:
        """Whether the server is ready, for whoever watches over it."""
        return reply({"status": "ready", "models": list(self._lineup.models)})

    async def metrics(self) -> Response:
        """Figures for Prometheus."""
        return Response(self._watch.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _begin(self, served: ServedModel, asked: Asked, request: Request) -> Turn:
        """A turn with whichever version answers this conversation."""
        visit, live = visit_of(request.headers, asked.prompt), self._watch.live
        if live and served.name == live.champion.name:
            served = live.choose(visit)
        shadow = live.shadow() if live and served.name == live.champion.name else None
        observer = Shadow(self._watch, self._turns, shadow, asked) if shadow else self._watch
        turn = await self._turns.begin(served, asked, Witness(visit, served, asked.prompt, observer))
        if request.state.key is not None:
            turn.spend = partial(self.meters.spend, request.state.key)
        return turn

    def _seed(self) -> int:
        return self._chance.getrandbits(63)


async def _no_such_route(request: Request, problem: Exception) -> Response:
    """Unknown paths and methods, with the path that was probably meant."""
    assert isinstance(problem, HTTPException)
    path = request.url.path
    text = f"{request.method} {path[:200]}: {problem.detail}"
    meant = [known for known in PATHS if path.endswith(known.removeprefix("/v1"))]
    if problem.status_code == 404 and meant:
        text += (
            f". Did you mean {meant[0]}? The base URL ends in /v1 for OpenAI's clients, and before it for Anthropic's."
        )
    dialect = dialect_of(path, request.headers)
    response = error_reply(Refusal(problem.status_code, text), dialect, request.state.request_id)
    response.headers.update(problem.headers or {})
    return response
