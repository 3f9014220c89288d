"""A version goes on trial only against the champion that it was compared with."""

from __future__ import annotations

from pathlib import Path

import pytest

from sonneteer import deployments
from sonneteer.circle.learning import overtaken
from sonneteer.store import Store

from ..made import version

OLD, NEW = version("shop", 1, stage="champion"), version("shop", 2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.save(OLD)
    store.save(NEW)
    return store


def test_a_champion_that_answers_alone_can_be_challenged(store: Store) -> None:
    assert overtaken(store, "shop", OLD) == []


@pytest.mark.parametrize(
    "change",
    [
        {"champion_id": "shop-2", "previous_champion_id": "shop-1"},
        {"phase": "canary", "candidate_id": "shop-2", "canary_share": 0.1},
    ],
    ids=["promoted", "on trial"],
)
def test_whoever_was_deployed_meanwhile_is_named(store: Store, change: dict[str, object]) -> None:
    deployments.deploy(store, "shop", "by hand", **change)
    (reason,) = overtaken(store, "shop", OLD)
    assert "shop-2 was deployed" in reason
    assert "compared with shop-1" in reason
