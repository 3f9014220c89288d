"""The serving room: models behind Anthropic's and OpenAI's API, so that a product changes one URL and nothing else."""

from sonneteer.serving.app import Around, create_app
from sonneteer.serving.feedback import FeedbackRequest, give
from sonneteer.serving.keys import Keys, create_key
from sonneteer.serving.lineup import ServedModel
from sonneteer.serving.listen import serve
from sonneteer.serving.live import Live
from sonneteer.serving.recorder import Recorder, strict_guard
from sonneteer.serving.tls import with_tls
from sonneteer.serving.tracing import Tracer
from sonneteer.serving.watch import Watch

__all__ = [
    "Around",
    "FeedbackRequest",
    "Keys",
    "Live",
    "Recorder",
    "ServedModel",
    "Tracer",
    "Watch",
    "create_app",
    "create_key",
    "give",
    "serve",
    "strict_guard",
    "with_tls",
]
