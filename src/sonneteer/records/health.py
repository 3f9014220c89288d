"""How a deployed model is doing: what moved since its training, what people say, and whether to train it again."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sonneteer.records.interval import Interval
from sonneteer.records.record import Record

HealthVerdict = Literal["healthy", "retrain", "cannot tell"]


class Signal(Record):
    """One figure of the exchanges: as the profile has it, as it is now, and what speaks for a change."""

    name: str
    profile: float | None
    """Mean in the training profile; None where there is none, as of what people say."""
    tolerated: float | None = None
    """The share that the recipe tolerates, where that is what it is compared with."""
    now: float
    """Mean over the newest exchanges."""
    shift: float | None = None
    """Largest difference between the cumulative shares of profile and newest exchanges, from 0 to 1."""
    stability_index: float | None = None
    """For display only."""
    evidence: float | None = None
    """The gamblers' capital: 1 at the start, and fair as long as nothing changed."""
    last_week: float | None = None
    """Mean over the seven days before the newest seven."""
    p_value: float | None = None
    """Of the newest seven days against the seven before, after Holm's correction."""
    has_moved: bool = False


class GroupGap(Record):
    """How differently groups of people are answered."""

    axis: str
    figure: str
    means: dict[str, float]
    counts: dict[str, int]
    p_value: float
    """By permutation of the groups, after Holm's correction."""
    is_found: bool


class Health(Record):
    """The health report of one model name."""

    id: str
    name: str
    model_id: str
    created_at: datetime
    since: datetime | None
    """When the oldest exchange was that counts: the deployment of this version."""
    exchanges: int
    failures: int
    out_of_scope: Interval | None
    """Share of the newest questions that are further from all known ones than 95 % of the profile's."""
    evidence: float
    """The highest that the evidence against the profile has been."""
    enough: float
    """From where on it is enough."""
    alarm_after: int | None
    """After how many exchanges it was enough."""
    signals: tuple[Signal, ...]
    gaps: tuple[GroupGap, ...]
    liked_share: Interval | None
    """Of the answers of which people said whether they were good."""
    verdict: HealthVerdict
    reasons: tuple[str, ...]
