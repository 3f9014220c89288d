"""An estimate and how far it may be off."""

from __future__ import annotations

from sonneteer.records.record import Record


class Interval(Record):
    """An estimate and the interval that covers the truth at the stated confidence."""

    value: float
    low: float
    high: float
