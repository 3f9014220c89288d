"""Why a request is not answered: what any failure means to the one who asked."""

from __future__ import annotations

import logging
import traceback

from sonneteer.errors import BusyError, DataError, RequestError, SonneteerError

LOG = logging.getLogger(__name__)
OVERLOADED = 529  # Anthropic's own status; OpenAI's dialect says 503
RETRY_SECONDS = 5  # what clients are told to wait
UNWELL = "Overloaded: the engine does not answer at the moment. Try again later."


class Refusal(SonneteerError):
    """A request that gets an error instead of an answer, in the words of the dialect in which it came."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        field: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        self.status = status
        self.message = message
        self.code = code
        self.field = field
        """Which part of the request is wrong, as in `messages.0.content`."""
        self.retry_after = retry_after
        """Seconds after which it may be tried again."""
        super().__init__(message)


def refusal_of(problem: Exception, request_id: str) -> Refusal:
    """What to tell about a failure. What is no fault of the request goes to the log, and only its id to the caller."""
    if isinstance(problem, Refusal):
        return problem
    if isinstance(problem, RequestError | DataError):
        return Refusal(400, str(problem))
    if isinstance(problem, BusyError):  # an engine outside this process is busy, or is being started again
        LOG.error("%s was not answered: %s", request_id, problem)
        return Refusal(OVERLOADED, UNWELL, code="overloaded", retry_after=RETRY_SECONDS)
    if isinstance(problem, TimeoutError):
        return Refusal(504, "The answer took longer than this server allows (serving.timeout_seconds).")
    LOG.error("%s failed: %s", request_id, in_words(problem))
    return Refusal(500, f"The model failed. The server's log says more about {request_id}.")


def in_words(problem: Exception) -> str:
    """For the log. An unknown failure's text may quote a prompt, so its kind and place are told instead."""
    if isinstance(problem, SonneteerError):
        return str(problem)
    frames = traceback.extract_tb(problem.__traceback__)[-3:]
    return f"{type(problem).__name__} at " + " < ".join(
        f"{frame.filename}:{frame.lineno}" for frame in reversed(frames)
    )
