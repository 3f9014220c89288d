"""How the deployed model is doing, and which of its exchanges a person should look at first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from sonneteer import data, deployments, evaluation, monitoring
from sonneteer.errors import MachineError
from sonneteer.monitoring import Case, Pattern, Profile, Seen, Usual
from sonneteer.progress import Progress
from sonneteer.recipe import LoadedRecipe
from sonneteer.records import DatasetVersion, Example, Health, ModelVersion, Run
from sonneteer.store import Store


class Watched(NamedTuple):
    """The report, and where it was written."""

    health: Health
    page: Path
    untold: str = ""
    """Why the webhook did not take it."""


def forget_old(loaded: LoadedRecipe, store: Store) -> int:
    """Delete the exchanges that are older than the recipe keeps them, with what was said of them."""
    oldest = datetime.now(UTC) - timedelta(days=loaded.recipe.monitoring.retention_days)
    return store.traffic.forget_before(loaded.recipe.name, oldest)


def monitor(loaded: LoadedRecipe, store: Store, progress: Progress) -> Watched:
    """The health report of the deployed model, written as a page and as JSON; a bad one goes to the webhook, too."""
    progress.stage("watching")
    recipe = loaded.recipe
    forget_old(loaded, store)
    model = store.get(ModelVersion, deployments.current(store, recipe.name).champion_id)
    exchanges = [one for one in store.traffic.exchanges(recipe.name) if one.model_id == model.id]
    traffic = monitoring.Traffic(model.id, exchanges, store.traffic.feedback(recipe.name))
    progress.note(f"Comparing {len(exchanges)} exchanges with what {model.id} learned from.")
    health = monitoring.health_of(
        profile(loaded, store, model), traffic, recipe.monitoring, datetime.now(UTC), recipe.seed
    )
    health = health.model_copy(update={"name": recipe.name})
    page = monitoring.write_page(health, store.root / f"{recipe.name}-health.html")
    untold = ""
    if recipe.monitoring.webhook and health.verdict == "retrain":
        try:
            monitoring.call(recipe.monitoring.webhook, health)
        except MachineError as problem:  # the report is no worse for that
            untold = str(problem)
    return Watched(health, page, untold)


def needed_because(loaded: LoadedRecipe, store: Store, health: str) -> str | None:
    """Why it is time for a new version, or nothing: the health report's verdict, or the champion's age."""
    if health == "retrain":
        return "the health report says retrain"
    days = loaded.recipe.improvement.every_days
    champion = store.get(ModelVersion, deployments.current(store, loaded.recipe.name).champion_id)
    if days is not None and datetime.now(UTC) - champion.created_at > timedelta(days=days):
        return f"{champion.id} is older than {days} days"
    return None


def to_review(loaded: LoadedRecipe, store: Store, most: int, patterns: Sequence[Pattern] = ()) -> list[Case]:
    """The exchanges that a person should look at, the most telling first; those of patterns are looked at as such."""
    recipe = loaded.recipe
    forget_old(loaded, store)
    model = store.get(ModelVersion, deployments.current(store, recipe.name).champion_id)
    view = monitoring.profile_of(_learned_questions(store, model), (), recipe.seed).view
    held = {row.exchange.id for pattern in patterns for row in pattern.rows}
    exchanges, feedback = store.traffic.exchanges(recipe.name), store.traffic.feedback(recipe.name)
    return monitoring.queue(view, exchanges, feedback, most, held)


def reviewed(loaded: LoadedRecipe, store: Store, most: int) -> list[Case]:
    """What a reviewer has decided on, the newest first; patterns are not among it."""
    forget_old(loaded, store)
    exchanges = {one.id: one for one in store.traffic.exchanges(loaded.recipe.name)}
    decided = [
        Case(exchanges[said.exchange_id], said, f"{said.opinion} before")
        for said in reversed(store.traffic.feedback(loaded.recipe.name))
        if said.opinion != "open" and not said.pattern and said.exchange_id in exchanges
    ]
    return decided[:most]


def usual_answers(loaded: LoadedRecipe, store: Store, id: str) -> Usual | None:
    """How a version answered the test questions when it was evaluated; None where too few are known."""
    return monitoring.usual_of(_answered(loaded, store, store.get(ModelVersion, id)))


def profile(loaded: LoadedRecipe, store: Store, model: ModelVersion) -> Profile:
    """What the model was trained on, and how it answered the test questions when it was evaluated."""
    answered = _answered(loaded, store, model)
    return monitoring.profile_of(_learned_questions(store, model), answered, loaded.recipe.seed)


def learned_by(store: Store, model: ModelVersion) -> list[Example]:
    """The examples that a version was trained on."""
    dataset = store.get(DatasetVersion, model.dataset_id)
    sides = [side for side in ("train", "replay") if side in dataset.splits]
    return [example for side in sides for example in data.read_split(store, dataset, side)]


def _learned_questions(store: Store, model: ModelVersion) -> list[str]:
    return [_question(example) for example in learned_by(store, model)]


def _answered(loaded: LoadedRecipe, store: Store, model: ModelVersion) -> list[Seen]:
    """The model's answers to the test questions."""
    dataset, run = store.get(DatasetVersion, model.dataset_id), store.get(Run, model.run_id)
    pairs = evaluation.read_pairs(loaded.recipe, run, store, data.read_split(store, dataset, "test"))
    return [Seen(_question(pair.example), pair.tuned, pair.confidence) for pair in pairs]


def _question(example: Example) -> str:
    return next((message.text for message in reversed(example.prompt.messages) if message.role == "user"), "")
