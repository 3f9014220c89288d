"""A served model that is watched: exchanges are written down, and deployments go forward or back by what is seen."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from sonneteer import deployments, lifecycle, opening, promotion, serving
from sonneteer.circle import watching
from sonneteer.errors import BusyError, SonneteerError
from sonneteer.monitoring import Usual, Warden, widest
from sonneteer.progress import Progress
from sonneteer.recipe import LoadedRecipe
from sonneteer.recipe.sections import ImprovementSettings
from sonneteer.records import Deployment, Exchange, ModelVersion
from sonneteer.store import Store

FEEDBACK_SECONDS = 2.0
"""Time between two looks at what people said."""
UNREAD = 100_000
"""Exchanges that wait to be looked at; of more the oldest are forgotten."""


def serve(loaded: LoadedRecipe, store: Store, progress: Progress) -> None:
    """The deployed model behind the APIs, until stopped, watched in all that it does."""
    settings = serving.with_tls(loaded.recipe.serving, loaded.folder)  # before the model takes its time to open
    loaded = loaded._replace(recipe=loaded.recipe.model_copy(update={"serving": settings}))
    opened = opening.opener(loaded, store)
    lifecycle.serve(loaded, store, progress, watch_of(loaded, store, opened), opened)


def watch_of(loaded: LoadedRecipe, store: Store, opened: opening.Opener) -> serving.Watch:
    """Everybody who watches a server of this recipe; `opened` loads its versions."""
    monitoring = loaded.recipe.monitoring
    usual = partial(watching.usual_answers, loaded, store)
    keeper = Keeper(store, loaded.recipe.name, loaded.recipe.improvement, usual)
    forget = partial(watching.forget_old, loaded, store)
    return serving.Watch(
        recorder=serving.Recorder(store.traffic, monitoring, loaded.recipe.privacy, store.root / "unwritten", forget),
        tracer=serving.Tracer(monitoring.traces_to) if monitoring.traces_to else None,
        live=serving.Live(keeper.current, opened),
        also=[keeper.note],
    )


class Keeper:
    """Knows the deployment in force, and ends a trial when enough was seen, for better or worse."""

    def __init__(
        self,
        store: Store,
        name: str,
        settings: ImprovementSettings,
        usual: Callable[[str], Usual | None] = lambda id: None,
    ) -> None:
        """`usual` tells how a version answered when it was evaluated, where that is known."""
        self._store = store
        self._name = name
        self._settings = settings
        self._usual = usual
        self._unread: deque[Exchange] = deque(maxlen=UNREAD)
        self._warden = self._warden_of(deployments.current(store, name))
        self._read_feedback_at = 0.0

    def note(self, exchange: Exchange) -> None:
        """An exchange that has just ended. Looked at later, so that nobody waits."""
        self._unread.append(exchange)

    def current(self) -> Deployment:
        """The deployment in force, after whatever follows from what was seen. A database that is away changes nothing
        but a roll-back, which happens in this server in any case."""
        with suppress(SonneteerError):
            newest = deployments.current(self._store, self._name)
            if newest.created_at > self._warden.deployment.created_at:
                self._warden = self._warden_of(newest)
        while self._unread:
            self._warden.note(self._unread.popleft())
        self._read_feedback()
        step, because = self._warden.step()
        if step != "wait":
            self._take(step == "advance", because)
        return self._warden.deployment

    def _warden_of(self, deployment: Deployment) -> Warden:
        """A warden who has seen what was written down under this deployment before the server was started."""
        warden = Warden(deployment, self._settings, self._usual_of(deployment))
        if deployment.phase != "full":
            for exchange in self._store.traffic.exchanges(self._name, since=deployment.created_at):
                warden.note(exchange)
        return warden

    def _usual_of(self, deployment: Deployment) -> Usual | None:
        """What is usual of the versions that answer people, where it is known of both."""
        if deployment.phase not in ("canary", "watched"):
            return None
        ids = (deployment.champion_id, deployment.candidate_id or deployment.previous_champion_id or "")
        with suppress(SonneteerError):
            known = [usual for usual in map(self._usual, ids) if usual]
            return widest(known) if len(known) == len(ids) else None
        return None

    def _read_feedback(self) -> None:
        deployment, now = self._warden.deployment, time.monotonic()
        if deployment.phase in ("canary", "watched") and now - self._read_feedback_at > FEEDBACK_SECONDS:
            self._read_feedback_at = now
            with suppress(SonneteerError):
                self._warden.note_feedback(self._store.traffic.feedback(self._name, since=deployment.created_at))

    def _take(self, is_advance: bool, because: str) -> None:
        """The next deployment, which the catalogue hears of too. Of several servers one decides."""
        before = self._warden.deployment
        with suppress(BusyError), self._store.writing(f"deployment-{self._name}"):
            after = self._next(before) if is_advance else None
            after = after or deployments.gone_back(before, f"{before.watched_id} was rolled back. {because}")
            after = after.model_copy(update={"because": after.because or because})
            self._warden = Warden(after, self._settings, self._usual_of(after))
            with suppress(SonneteerError):  # the database is away: this server goes on alone
                deployments.put_in_force(self._store, before, after)

    def _next(self, before: Deployment) -> Deployment:
        """From the shadow to a share, from a share to nearly all, from there to all."""
        candidate, share = before.candidate_id, self._settings.canary_share
        if candidate is None:
            return deployments.following(before, "")
        if before.phase == "shadow":
            return deployments.following(before, "", phase="canary", candidate_id=candidate, canary_share=share)
        promoted = promotion.crown(self._store, self._store.get(ModelVersion, candidate), None)
        if not promoted.is_done:
            return deployments.following(before, f"{candidate} may not be promoted: {'; '.join(promoted.refusals)}")
        changes = {"champion_id": candidate, "previous_champion_id": before.champion_id}
        if held_back := self._settings.held_back_share:
            return deployments.following(before, "", **changes, phase="watched", held_back_share=held_back)
        return deployments.following(before, "", **changes)
