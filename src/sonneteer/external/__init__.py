"""Models that answer somewhere else, behind an API, as a `Chat` like any other."""

from sonneteer.external.claude import ClaudeChat
from sonneteer.external.server import ServerChat

__all__ = ["ClaudeChat", "ServerChat"]
