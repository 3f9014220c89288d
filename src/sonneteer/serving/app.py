"""The endpoints, and the application that holds them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sonneteer.chat import pictures_of
from sonneteer.errors import MissingError, RecipeError, RequestError, SonneteerError
from sonneteer.recipe.sections import ServingSettings
from sonneteer.serving import anthropic, anthropic_answers, openai_answers
from sonneteer.serving.answering import Answering, Caller, refuse_unseen
from sonneteer.serving.apis import APIS, COMPLETIONS, MESSAGES, TEXTS, Api
from sonneteer.serving.batch_endpoints import BatchEndpoints
from sonneteer.serving.batch_work import BatchWork
from sonneteer.serving.events import EventStream, unless_gone
from sonneteer.serving.feedback import FeedbackRequest, reply_to
from sonneteer.serving.keys import Keys
from sonneteer.serving.lineup import Lineup, Others, ServedModel
from sonneteer.serving.listing import AnthropicPage
from sonneteer.serving.openapi import document
from sonneteer.serving.porter import HEALTH, Porter, dialect_of, is_loopback, speaks_anthropic
from sonneteer.serving.refusals import OVERLOADED, RETRY_SECONDS, Refusal
from sonneteer.serving.turns import Turns
from sonneteer.serving.watch import Watch
from sonneteer.serving.wire import error_reply, read, read_query, reply
from sonneteer.store import Shelf

COUNT_TOKENS = "/v1/messages/count_tokens"
MODELS = "/v1/models"
FEEDBACK = "/v1/feedback"
METRICS = "/metrics"
DOCUMENT = "/openapi.json"
PATHS = (COUNT_TOKENS, MESSAGES, COMPLETIONS, TEXTS, MODELS, FEEDBACK)


class Around(NamedTuple):
    """What a server has to do with besides its first models."""

    watch: Watch | None = None
    """Is told what happens; without it nothing is written down."""
    others: Others | None = None
    """Opens models that are not served from the beginning."""
    shelf: Shelf | None = None
    """Keeps batches and files; without it there are none."""
    opened: Callable[[str], None] = lambda address: None
    """Is told the address."""


def create_app(
    models: Sequence[ServedModel],
    settings: ServingSettings,
    keys: Keys,
    chance: random.Random | None = None,
    around: Around | None = None,
) -> Starlette:
    """The server as an ASGI application. Raises RecipeError for an address that others reach and no keys.

    `chance` draws the seeds of requests that bring none.
    """
    if not keys.names and not is_loopback(settings.host):
        raise RecipeError(
            f"serving.host is '{settings.host}', which other machines can reach, so an API key is needed and there is "
            "none yet. Create one with `sonneteer key add NAME`, or listen on 127.0.0.1."
        )
    around = around or Around()
    turns = Turns(settings.max_queue, settings.timeout_seconds)
    watch = around.watch or Watch()
    lineup = Lineup(models, settings.stand_in_for, around.others)
    answering = Answering(lineup, turns, settings, chance or random.Random(), watch)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        work = asyncio.create_task(BatchWork(around.shelf, answering, keys).run()) if around.shelf else None
        yield
        if work is not None:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work
        turns.close()
        await asyncio.to_thread(watch.close)
        await asyncio.to_thread(keys.close)

    app = Starlette(lifespan=lifespan)
    app.router.redirect_slashes = False
    Endpoints(answering).add_to(app)
    if around.shelf is not None:
        BatchEndpoints(around.shelf, models[0].name, settings).add_to(app)
    paths = {_documented(route.path) for route in app.routes if isinstance(route, Route)}
    app.add_route(DOCUMENT, lambda _: reply(document(paths, bool(keys.names))), methods=["GET"])
    app.add_exception_handler(HTTPException, _no_such_route)
    app.add_middleware(Porter, keys=keys, meters=answering.meters)
    return app


class Endpoints:
    """What is done for each path."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._lineup = answering.lineup
        self._settings = answering.settings
        self._watch = answering.watch

    def add_to(self, app: Starlette) -> None:
        """Put them on their paths."""
        for path, api in APIS.items():
            app.add_route(path, partial(self._answer, api), methods=["POST"])
        app.add_route(COUNT_TOKENS, self.count_tokens, methods=["POST"])
        app.add_route(MODELS, self.list_models, methods=["GET"])
        app.add_route(MODELS + "/{name:path}", self.retrieve_model, methods=["GET"])
        app.add_route(FEEDBACK, self.create_feedback, methods=["POST"])
        app.add_route(METRICS, self.metrics, methods=["GET"])
        app.add_route(HEALTH, self.health, methods=["GET"])

    async def _answer(self, api: Api, request: Request) -> Response:
        """An answer in the words of one API."""
        wanted = await read(request, api.request)
        turn = await self._answering.begin(api, wanted, Caller(request.headers, request.state.key))
        if wanted.stream:
            return EventStream(api.events(wanted, turn), turn, api.dialect, request.state.request_id)
        with turn:
            answers = await unless_gone(request.receive, turn.answers(), turn.seconds)
            return reply(api.whole(wanted, turn, answers))

    async def count_tokens(self, request: Request) -> Response:
        """How many tokens a request would have."""
        wanted = await read(request, anthropic.CountRequest)
        served = await self._lineup.found(wanted.model)
        conversation = anthropic.asked(wanted, self._settings, seed=0).conversation
        refuse_unseen(served, conversation)
        if pictures := pictures_of(conversation):
            raise Refusal(400, f"{pictures[0].place}: the tokens of images cannot be counted", field=pictures[0].place)
        return reply({"input_tokens": await self._answering.turns.count(served, conversation)})

    async def list_models(self, request: Request) -> Response:
        """What is served. Both APIs have this path, with different answers."""
        wanted = read_query(request, AnthropicPage)
        if not speaks_anthropic(request.headers):
            return reply(openai_answers.models_page(list(self._lineup.models.values())))
        return reply(anthropic_answers.models_page(self._lineup.page(wanted), self._settings.max_answer_tokens))

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
            return reply(reply_to(await asyncio.to_thread(self._watch.say, wanted, request.state.key)))
        except (MissingError, RequestError) as problem:
            raise Refusal(404, str(problem), field="message_id") from problem
        except SonneteerError as problem:
            text = f"The feedback cannot be kept at the moment: {problem}"
            raise Refusal(OVERLOADED, text, retry_after=RETRY_SECONDS) from problem

    async def health(self, _: Request) -> Response:
        """Whether the server is ready, for whoever watches over it."""
        return reply({"status": "ready", "models": list(self._lineup.models)})

    async def metrics(self, _: Request) -> Response:
        """Figures for Prometheus."""
        return Response(self._watch.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _documented(path: str) -> str:
    """How the document writes a path."""
    return path.replace("{name:path}", "{id}")


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
