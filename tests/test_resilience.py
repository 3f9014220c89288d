"""The server among clients of all kinds, killed, without its database, on a full disk, and rolled back."""

from __future__ import annotations

import pytest
from benchmarks.resilience import broken_promises, measured


@pytest.mark.slow
def test_whatever_happens_to_the_server_no_acknowledged_answer_is_lost_or_doubled_and_no_place_leaks() -> None:
    found = measured(minutes=0.5, clients=24, database="sqlite")
    assert broken_promises(found) == []
    assert found["answered"] > 0
    assert found["not reached"] > 0
