"""Parts of section `serving`: the engines that compute answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sonneteer.recipe.section import Section


class LlamaCppSettings(Section):
    """llama.cpp, for processors: fast, with weights of fewer bits."""

    numbers: Literal["f16", "q8_0", "q6_k", "q5_k_m", "q4_k_m"] = "q8_0"
    """How weights are kept, as in `sonneteer export`. A version that these bits change too much is refused."""
    threads: int | None = Field(None, ge=1)
    """Processor threads that it computes with. Without it, as many as there are cores."""


class VllmSettings(Section):
    """vLLM, for graphics cards: a server in a process or container of its own."""

    url: str | None = None
    """Address of a server that runs already, such as http://127.0.0.1:8000. Without it, one is started."""
    command: tuple[str, ...] = ("vllm", "serve")
    """The program that is started, to which the model and its options are added."""
    options: tuple[str, ...] = ()
    """Further options for the program, such as `--tensor-parallel-size=2`."""
    key_variable: str | None = None
    """Environment variable that holds the running server's key, if it wants one."""
    model: str | None = None
    """The base model's name in the running server. Without it, the one model that the server has."""
    workspace: str | None = None
    """Where the server sees this workspace's folder, if it runs in a container. Adapters are loaded from there."""
    start_seconds: float = Field(900.0, gt=0)
    """How long it may take until it is ready."""
