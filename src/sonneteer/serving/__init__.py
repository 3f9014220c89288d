"""The serving room: models behind Anthropic's and OpenAI's API, so that a product changes one URL and nothing else."""

from sonneteer.serving.app import Around, create_app
from sonneteer.serving.feedback import FeedbackRequest, give
from sonneteer.serving.keys import Key, KeyRole, Keys, create_key, read_keys, remove_key
from sonneteer.serving.lineup import ServedModel
from sonneteer.serving.listen import serve
from sonneteer.serving.live import Live
from sonneteer.serving.recorder import Recorder, strict_guard
from sonneteer.serving.tracing import Tracer
from sonneteer.serving.watch import Watch

__all__ = [
    "Around",
    "FeedbackRequest",
    "Key",
    "KeyRole",
    "Keys",
    "Live",
    "Recorder",
    "ServedModel",
    "Tracer",
    "Watch",
    "create_app",
    "create_key",
    "give",
    "read_keys",
    "remove_key",
    "serve",
    "strict_guard",
]
