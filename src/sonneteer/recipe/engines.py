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
