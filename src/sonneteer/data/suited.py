"""What an objective can learn from, and the rejected answers that it reads."""

from __future__ import annotations

from typing import NamedTuple

from sonneteer.data.candidates import Outcome
from sonneteer.recipe.learning import COMPARING, Objective
from sonneteer.records import Example, Rendered, Renderer


def suited(example: Example, objective: Objective) -> Outcome:
    """Without examples that lack what the objective compares; without disliked answers where they would be imitated."""
    if objective in COMPARING and example.rejected is None:
        reason = f"there is no rejected answer beside it, and {objective} learns from pairs"
        return Outcome(None, reason, "nothing_to_learn")
    if objective == "kto" and example.rejected is None and example.label is None:
        reason = "nobody said whether the answer is liked, and kto learns from such labels"
        return Outcome(None, reason, "nothing_to_learn")
    if objective == "grpo" and example.is_text:
        return Outcome(None, "plain text asks nothing, and grpo learns from answers", "nothing_to_learn")
    if objective != "kto" and example.label is False:
        return Outcome(None, "people disliked this answer, so it is not imitated", "disliked")
    return Outcome(example)


class BothAnswers(NamedTuple):
    """Renders the rejected answer, too: both must be short enough."""

    renderer: Renderer

    def render(self, example: Example) -> list[Rendered]:
        """The sequences of the answer, and those of the rejected one."""
        sides = [example] if example.as_rejected is None else [example, example.as_rejected]
        return [sequence for side in sides for sequence in self.renderer.render(side)]
