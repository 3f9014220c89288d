"""Section `serving`: how a model is put behind an API."""

from __future__ import annotations

from pydantic import Field

from sonneteer.recipe.section import Section


class ServingSettings(Section):
    """How a model is put behind an API."""

    host: str = "127.0.0.1"
    """Address to listen on. Anything but this machine needs API keys."""
    port: int = Field(8080, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    max_queue: int = Field(64, ge=1)
    """Requests that may wait; one more is told to come back later."""
    max_answer_tokens: int = Field(1024, ge=1)
    """Longest answer, whatever a request asks for. An answer that is cut here says so in its stop reason."""
    temperature: float = Field(0.0, ge=0, le=2)
    """How freely answers are drawn when a request does not say. 0 is what the evaluation measured."""
    stand_in_for: tuple[str, ...] = ("claude-", "gpt-")
    """Requests for other models whose names begin so are answered too, by the first model served. `[]` refuses them."""
