"""Which versions answer under a name: the deployment in force, looked at again and again. Changes drop no request."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sonneteer.records import Deployment, fingerprint_of
from sonneteer.serving.follower import Follower
from sonneteer.serving.lineup import ServedModel
from sonneteer.serving.traffic import Visit


class _State(NamedTuple):
    """A deployment with its versions, replaced as a whole."""

    deployment: Deployment
    loaded: dict[str, ServedModel]


class Live:
    """Follows the deployments of one name. Versions are loaded beside those that answer, and swapped when ready."""

    def __init__(self, current: Callable[[], Deployment], open: Callable[[str], ServedModel]) -> None:
        """`current` tells the deployment in force, `open` loads a version by its id."""
        self._current = current
        self._open = open
        self._state = self._loaded(current(), {})
        self._failed = ""
        self._follower = Follower(self.look, lambda: f"The deployment stays {self.deployment.id}.")

    @property
    def deployment(self) -> Deployment:
        """What is in force in this server."""
        return self._state.deployment

    @property
    def champion(self) -> ServedModel:
        """Who answers unless the canary does."""
        state = self._state
        return state.loaded[state.deployment.champion_id]

    def choose(self, visit: Visit) -> ServedModel:
        """Who answers this visit: always the same for one conversation, as long as the deployment stands."""
        deployment, loaded = self._state
        if deployment.phase == "canary" and is_drawn(visit.conversation, deployment, deployment.canary_share):
            assert deployment.candidate_id is not None
            return loaded[deployment.candidate_id]._replace(arm="canary")
        if deployment.phase == "watched" and is_drawn(visit.conversation, deployment, deployment.held_back_share):
            assert deployment.previous_champion_id is not None
            return loaded[deployment.previous_champion_id]._replace(arm="former")
        return loaded[deployment.champion_id]

    def shadow(self) -> ServedModel | None:
        """Who answers without being heard, if anybody does."""
        deployment, loaded = self._state
        return loaded[deployment.candidate_id or ""] if deployment.phase == "shadow" else None

    def look(self) -> None:
        """Take on the deployment in force. A version that cannot be loaded leaves everything as it is."""
        deployment = self._current()
        if deployment.id not in (self._state.deployment.id, self._failed):
            try:
                self._state = self._loaded(deployment, self._state.loaded)
            except Exception:
                self._failed = deployment.id  # told once, and not five times a second
                raise

    def close(self) -> None:
        """Follow no longer."""
        self._follower.close()

    def _loaded(self, deployment: Deployment, there: dict[str, ServedModel]) -> _State:
        wanted = (deployment.champion_id, deployment.candidate_id, deployment.previous_champion_id)
        return _State(deployment, {id: there.get(id) or self._open(id) for id in wanted if id is not None})


def is_drawn(conversation: str, deployment: Deployment, share: float) -> bool:
    """Whether this conversation is one of the share. Each deployment draws anew, or the same few would always try."""
    return int(fingerprint_of([deployment.id, conversation])[:8], 16) < share * 16**8
