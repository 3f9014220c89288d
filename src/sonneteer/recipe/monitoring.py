"""What a recipe may say of the time after deployment: what is written down, and when it is time to learn again."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sonneteer.recipe.section import Section


class MonitoringSettings(Section):
    """What is written down of the traffic, and what counts as drift."""

    record: Literal["all", "share", "none"] = "all"
    """Which exchanges are written down, masked: all, a share of the conversations, or none. A request with the header
    `x-sonneteer-record: no` never is."""
    recorded_share: float = Field(0.1, gt=0, le=1)
    """Share of the conversations that is written down with `record: share`."""
    retention_days: int = Field(90, ge=1)
    """Exchanges, and what was said of them, are deleted after so many days."""
    false_alarm_share: float = Field(0.05, gt=0, lt=1)
    """Chance of a false alarm in a year of daily looks, while questions and answers stay like those of the training."""
    least_shift: float = Field(0.1, ge=0, lt=1)
    """Smaller shifts of a figure are not called drift, however certain: the largest difference between its cumulative
    shares, from 0 to 1."""
    most_disliked: float = Field(0.5, gt=0, le=1)
    """Tolerated share of dislikes among the answers that users judge; more, by more than chance, is a reason to train
    again, and 1 tolerates all. Displeased users judge more often than others."""
    newest: int = Field(500, ge=50)
    """Exchanges that count as now; of what people judge, so many that were judged."""
    webhook: str | None = Field(None, pattern=r"^https?://")
    """Address to which `sonneteer monitor` posts a health report that says 'retrain', as JSON; no texts are sent."""
    traces_to: str | None = Field(None, pattern=r"^https?://")
    """Collector of OpenTelemetry spans, such as http://localhost:4318/v1/traces; `null` sends none. No texts are
    sent."""
    max_unwritten: int = Field(100_000, ge=1)
    """Exchanges that may wait, on disk, for a database that is away; what comes on top is counted and not written
    down."""
