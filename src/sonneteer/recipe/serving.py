"""Section `serving`: how a model is put behind an API."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sonneteer.recipe.engines import LlamaCppSettings, VllmSettings
from sonneteer.recipe.section import Section


class ServingSettings(Section):
    """How a model is put behind an API."""

    host: str = "127.0.0.1"
    """Address to listen on. Anything but this machine needs API keys."""
    port: int = Field(8080, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    tls_certificate: str | None = None
    """File with the certificate chain (PEM), from the recipe's folder, that makes the server speak HTTPS itself."""
    tls_key: str | None = None
    """File with the certificate's private key (PEM)."""
    max_queue: int = Field(64, ge=1)
    """Requests that may wait; one more is told to come back later."""
    timeout_seconds: float = Field(600.0, gt=0)
    """How long an answer may take, waiting included."""
    stop_seconds: int = Field(30, ge=0)
    """When the server is told to stop, answers under way get so long to finish; new requests are refused."""
    engine: Literal["embedded", "llamacpp", "vllm"] = "embedded"
    """Who computes the answers: Sonneteer itself, llama.cpp on the processor, or a vLLM server; docs/serving.md."""
    llamacpp: LlamaCppSettings = LlamaCppSettings()
    """With the engine llamacpp."""
    vllm: VllmSettings = VllmSettings()
    """With the engine vllm."""
    max_streams: int = Field(16, ge=1)
    """Answers that are written at the same time; more wait in the queue."""
    kv_gb: float = Field(4.0, gt=0)
    """Memory for the keys and values of answers under way. One that has no room waits."""
    prefix_gb: float = Field(1.0, ge=0)
    """Memory for beginnings of prompts that come again, such as a system prompt: they are read once."""
    share_base: bool = True
    """Versions that are adapters of one base share its weights and are answered together, each loaded in a moment.
    Without it each is merged with weights of its own, which answers a little faster."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """`bfloat16` halves memory and answers faster on processors that have it; `float32` is what was evaluated."""
    max_answer_tokens: int = Field(1024, ge=1)
    """Longest answer, whatever a request asks for. An answer that is cut here says so in its stop reason."""
    temperature: float = Field(0.0, ge=0, le=2)
    """How freely answers are drawn when a request does not say. 0 is what the evaluation measured."""
    batch_streams: int = Field(4, ge=1)
    """Requests of batches are begun while fewer answers than this are under way, live ones included."""
    batch_hours: float = Field(24.0, gt=0)
    """What a batch has not been answered by then expires."""
    batch_days: int = Field(29, ge=1)
    """The results of a batch are deleted so long after its end."""
    max_upload_mb: int = Field(256, ge=1)
    """Largest file or batch that a client may send at once."""
    uploads_gb: float = Field(10.0, gt=0)
    """All files and batches of one key together may be so large; then it must delete some first."""
    stand_in_for: tuple[str, ...] = ("claude-", "gpt-")
    """Requests for other models whose names begin so are answered too, by the first model served. `[]` refuses them."""
