"""How much each key may ask: requests and tokens a minute, each a bucket that fills up again all the time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from sonneteer.records import Key
from sonneteer.serving.refusals import Refusal


class Level(NamedTuple):
    """How full a bucket is."""

    what: str
    """`requests` or `tokens`."""
    a_minute: int
    left: int
    seconds: float
    """Until it is full again."""


class Bucket:
    """Holds a minute's worth, full at first. It may be overdrawn: then nothing goes until it is above zero again."""

    def __init__(self, a_minute: int, clock: Callable[[], float]) -> None:
        self.a_minute = a_minute
        self._clock = clock
        self._level = float(a_minute)
        self._at = clock()

    def seconds_until(self, amount: float) -> float:
        """How long until so much is there; 0 if it is."""
        now = self._clock()
        self._level = min(self.a_minute, self._level + (now - self._at) * self.a_minute / 60)
        self._at = now
        return max(0.0, (amount - self._level) * 60 / self.a_minute)

    def level(self, what: str) -> Level:
        """How full it is."""
        seconds = self.seconds_until(self.a_minute)
        return Level(what, self.a_minute, max(0, math.floor(self._level)), seconds)

    def take(self, amount: float) -> None:
        """Take so much out."""
        self.seconds_until(0)
        self._level -= amount


class Meters:
    """The buckets of all keys."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str, int], Bucket] = {}

    def admit(self, key: Key) -> None:
        """Count a request. Raises Refusal with status 429 where the key has used up its minute."""
        requests = self._bucket(key, "requests", key.requests_per_minute)
        tokens = self._bucket(key, "tokens", key.tokens_per_minute)
        for what, bucket in (("requests", requests), ("tokens", tokens)):
            seconds = bucket.seconds_until(1) if bucket else 0.0
            if seconds > 0:
                text = f"This key has used up its {what} of the minute. Try again in {math.ceil(seconds)} seconds."
                raise Refusal(429, text, code="rate_limit_exceeded", retry_after=math.ceil(seconds))
        if requests:
            requests.take(1)

    def levels(self, key: Key) -> list[Level]:
        """What the key has left of its minute; nothing where it may ask as much as it likes."""
        buckets = {
            "requests": self._bucket(key, "requests", key.requests_per_minute),
            "tokens": self._bucket(key, "tokens", key.tokens_per_minute),
        }
        return [bucket.level(what) for what, bucket in buckets.items() if bucket is not None]

    def is_low(self, key: Key) -> bool:
        """Whether more than half of the key's tokens of the minute are used: the rest is for who waits."""
        bucket = self._bucket(key, "tokens", key.tokens_per_minute)
        return bucket is not None and bucket.seconds_until(bucket.a_minute / 2) > 0

    def spend(self, key: Key, tokens: int) -> None:
        """Count what an answer read and wrote."""
        bucket = self._bucket(key, "tokens", key.tokens_per_minute)
        if bucket:
            bucket.take(tokens)

    def _bucket(self, key: Key, what: str, a_minute: int | None) -> Bucket | None:
        if a_minute is None:
            return None
        return self._buckets.setdefault((key.name, what, a_minute), Bucket(a_minute, self._clock))
