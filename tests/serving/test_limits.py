"""A key that has used up its minute is told when to come back; roles open what is theirs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonneteer.records import Key
from sonneteer.serving import Keys, create_key
from sonneteer.serving.limits import Meters
from sonneteer.serving.refusals import Refusal
from sonneteer.store import Store
from sonneteer.testing import ScriptedChat


@given(st.integers(1, 60), st.lists(st.floats(0, 5), min_size=1, max_size=200))
def test_never_more_than_two_minutes_worth_in_any_minute(limit: int, pauses: list[float]) -> None:
    now = 0.0
    key = Key(name="a", sha256="0" * 64, created_at=datetime.now(UTC), requests_per_minute=limit)
    meters = Meters(lambda: now)
    admitted, refused = [], []
    for pause in pauses:
        now += pause
        try:
            meters.admit(key)
            admitted.append(now)
        except Refusal as refusal:
            refused.append(refusal)
    assert all((each.status, 0 < (each.retry_after or 0) <= 60) == (429, True) for each in refused)
    assert all(sum(start <= at < start + 60 for at in admitted) <= 2 * limit for start in admitted)


def test_tokens_are_counted_when_the_answer_is_there(start: Any, tmp_path: Path) -> None:
    ring = Store(tmp_path).keys
    secret = create_key(ring, "small", tokens_per_minute=2)
    server = start(ScriptedChat(["one two three four"]), keys=Keys.of(ring))
    body = {"model": "poet", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
    assert server.ask("POST", "/v1/messages", body, x_api_key=secret).status == 200
    refused = server.ask("POST", "/v1/messages", body, x_api_key=secret)
    assert (refused.status, refused.json["error"]["type"]) == (429, "rate_limit_error")
    assert int(refused.headers["retry-after"]) > 0


def test_answers_and_refusals_tell_what_is_left_of_the_minute(start: Any, tmp_path: Path) -> None:
    ring = Store(tmp_path).keys
    key = create_key(ring, "small", requests_per_minute=2, tokens_per_minute=1000)
    server = start(ScriptedChat(["one two three"]), keys=Keys.of(ring))
    body = {"model": "poet", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
    told = server.ask("POST", "/v1/messages", body, x_api_key=key).headers
    name = "anthropic-ratelimit"
    assert (told[f"{name}-requests-limit"], told[f"{name}-requests-remaining"]) == ("2", "1")
    assert (told[f"{name}-tokens-limit"], told[f"{name}-tokens-remaining"]) == ("1000", "996")
    assert datetime.fromisoformat(told[f"{name}-tokens-reset"]).tzinfo is not None
    bearer = {"authorization": f"Bearer {key}"}
    told = server.ask("POST", "/v1/chat/completions", body, **bearer).headers
    assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == ("2", "0")
    assert told["x-ratelimit-limit-tokens"] == "1000"
    assert float(told["x-ratelimit-reset-requests"].removesuffix("s")) > 0
    refused = server.ask("POST", "/v1/chat/completions", body, **bearer)
    assert (refused.status, refused.headers["x-ratelimit-remaining-requests"]) == (429, "0")
    assert (refused.json["error"]["type"], refused.json["error"]["code"]) == ("rate_limit_exceeded",) * 2
    assert int(refused.headers["retry-after"]) > 0


def test_without_limits_nothing_is_said_of_them(start: Any, tmp_path: Path) -> None:
    key = create_key(Store(tmp_path).keys, "large")
    server = start(ScriptedChat(["Hi"]), keys=Keys.of(Store(tmp_path).keys))
    assert not [name for name in server.ask("GET", "/v1/models", x_api_key=key).headers if "ratelimit" in name]


def test_half_of_the_tokens_of_a_minute_are_kept_for_who_waits() -> None:
    key = Key(name="a", sha256="0" * 64, created_at=datetime.now(UTC), tokens_per_minute=100)
    meters = Meters(lambda: 0.0)
    assert not meters.is_low(key)
    meters.spend(key, 51)
    assert meters.is_low(key)
    meters.admit(key)
    assert not meters.is_low(key.model_copy(update={"tokens_per_minute": None}))


@pytest.mark.parametrize(
    ("role", "statuses"), [("admin", (200, 200)), ("client", (200, 403)), ("reviewer", (403, 403))]
)
def test_a_role_opens_what_is_its_own(start: Any, tmp_path: Path, role: Any, statuses: tuple[int, int]) -> None:
    ring = Store(tmp_path).keys
    secret = create_key(ring, "somebody", role)
    server = start(ScriptedChat(["Hi"]), keys=Keys.of(ring))
    told = [server.ask("GET", path, authorization=f"Bearer {secret}") for path in ("/v1/models", "/metrics")]
    assert tuple(each.status for each in told) == statuses
    assert told[0].headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in told[0].headers
