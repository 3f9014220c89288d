"""Examples that a teacher writes: over passages, to prompts, or in other words."""

from sonneteer.data.synthesis.synthesize import Synthesized, synthesize
from sonneteer.data.synthesis.terms import refuse_without_terms

__all__ = ["Synthesized", "refuse_without_terms", "synthesize"]
