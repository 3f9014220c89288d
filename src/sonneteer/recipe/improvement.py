"""What a recipe may say of learning from live traffic, and of how a new version goes live."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sonneteer.recipe.section import Section


class ImprovementSettings(Section):
    """How `sonneteer improve` trains the next version, and how the server tries it out."""

    start: Literal["champion", "base"] = "champion"
    """Train further from the champion with a share of the old examples, or again from the base with all of them."""
    replay_share: float = Field(0.5, ge=0, lt=1)
    """Share of old examples in each batch when training starts from the champion, against forgetting."""
    needs_approval: bool = True
    """Learn only from what a reviewer has approved (`sonneteer review`); false learns from all that users say."""
    fewest_alike: int = Field(5, ge=2)
    """So many corrections or liked answers that have something unusual in common are held back as one pattern, until a
    reviewer decides on all of them: somebody may be teaching the model, and many users may be right."""
    false_pattern_share: float = Field(0.01, gt=0, lt=1)
    """Chance that a look at corrections that are drawn like the answers that are known finds such a pattern."""
    fewest_examples: int = Field(20, ge=1)
    """With fewer new examples `improve` does nothing."""
    every_days: int | None = Field(None, ge=1)
    """`sonneteer improve --if-needed` trains when the champion is so old, whatever the health report says."""
    most_broken_share: float = Field(0.05, ge=0, le=1)
    """Share of the regression cases that were answered well before and that a new version may answer badly."""
    shadow_exchanges: int = Field(50, ge=0)
    """Exchanges that the new version answers unheard, beside the champion, before it is tried on people; 0 skips it."""
    canary_share: float = Field(0.1, gt=0, lt=1)
    """Share of the conversations that the new version then answers."""
    canary_conversations: int = Field(100, ge=1)
    """Conversations that it answers so, without doing harm, before it answers all."""
    held_back_share: float = Field(0.1, ge=0, lt=1)
    """Share of the conversations that the former champion then still answers, so that the new one can be compared with
    it; with 0 the new one answers all at once and nobody watches."""
    watch_conversations: int = Field(300, ge=1)
    """Conversations that the new champion answers so, without doing harm, before the former one has none left."""
    false_rollback_share: float = Field(0.01, gt=0, lt=1)
    """Chance that a version that is no worse is rolled back, however long it is watched."""
