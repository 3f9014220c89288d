"""Which version is live under a name, and going back: needs the catalogue and nothing else, so it takes a moment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sonneteer.errors import MissingError
from sonneteer.records import Deployment, ModelVersion
from sonneteer.store import Store


def current(store: Store, name: str) -> Deployment:
    """The deployment in force. Where nothing was ever deployed it is the champion, or else the newest version."""
    newest = store.latest(Deployment, name)
    if newest is not None:
        return newest
    versions = store.find(ModelVersion, name=name)
    if not versions:
        others = ", ".join(sorted({version.name for version in store.find(ModelVersion)}))
        known = f"It has: {others}." if others else "Train it first: sonneteer run."
        raise MissingError(f"There is no model '{name}' in {store.root} yet. {known}")
    champion = next((version for version in versions if version.stage == "champion"), versions[0])
    return Deployment(
        id=f"{name}-first-{champion.number}", name=name, created_at=champion.created_at, champion_id=champion.id
    )


def deploy(store: Store, name: str, because: str, **changes: Any) -> Deployment:
    """A new deployment: the one in force with these changes. Servers take it on within a moment."""
    before = current(store, name)
    made = following(before, because, **changes)
    store.save(made)
    return made


def following(before: Deployment, because: str, **changes: Any) -> Deployment:
    """The deployment after another one. What is not said is a version that answers alone."""
    now = datetime.now(UTC)
    plain = {"phase": "full", "candidate_id": None, "canary_share": 0.0, "held_back_share": 0.0}
    named = {"id": f"{before.name}-{now:%Y%m%d%H%M%S%f}", "created_at": now, "because": because}
    return Deployment.model_validate(before.model_dump() | plain | named | changes)


def gone_back(before: Deployment, because: str) -> Deployment:
    """The deployment that ends a trial or brings the former champion back. Raises MissingError without one."""
    if before.candidate_id is not None:
        return following(before, because)
    if before.previous_champion_id is None:
        raise MissingError(f"{before.champion_id} replaced no version, so there is none to go back to.")
    former = before.previous_champion_id
    return following(before, because, champion_id=former, previous_champion_id=before.champion_id)


def roll_back(store: Store, name: str, because: str) -> Deployment:
    """End a trial, or bring the former champion back. Raises MissingError where there is nothing to go back to."""
    before = current(store, name)
    made = gone_back(before, because)
    put_in_force(store, before, made)
    return made


def put_in_force(store: Store, before: Deployment, made: Deployment) -> None:
    """Save the deployment that follows, and what its versions are from now on."""
    store.save(made)
    for id in {before.champion_id, before.candidate_id} - {made.champion_id, made.candidate_id, None}:
        retire(store, store.get(ModelVersion, str(id)))
    champion = store.get(ModelVersion, made.champion_id)
    if made.champion_id != before.champion_id and champion.stage != "champion":
        store.save(champion.model_copy(update={"stage": "champion"}))


def retire(store: Store, version: ModelVersion) -> None:
    """It was replaced or refused: from now on it is only used where somebody names it."""
    if version.stage != "retired":
        store.save(version.model_copy(update={"stage": "retired"}))
