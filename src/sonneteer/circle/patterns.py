"""Feedback that says the same many times: held back as one thing, until a reviewer decides on it."""

from __future__ import annotations

import random
from typing import Literal

from sonneteer import deployments, monitoring
from sonneteer.circle import watching
from sonneteer.monitoring import Pattern
from sonneteer.recipe import LoadedRecipe
from sonneteer.records import ModelVersion, fingerprint_of
from sonneteer.store import Store

MOST_KNOWN = 3000
"""Answers of the training, and as many of the live ones, that feedback is compared with."""

Decision = Literal["approved", "refused", "open"]
"""All of it may be learned, or nothing, or it is no pattern and each row is decided on by itself."""


def waiting(loaded: LoadedRecipe, store: Store) -> list[Pattern]:
    """The patterns that nobody has decided on, the largest first.

    Approvals of single rows, given before the pattern showed, are taken back.
    """
    recipe, traffic = loaded.recipe, store.traffic
    exchanges = {one.id: one for one in traffic.exchanges(recipe.name)}
    said = traffic.feedback(recipe.name)
    if len(said) < recipe.improvement.fewest_alike:
        return []
    live = [one.answer.text for one in exchanges.values() if not one.problem]
    champion = store.get(ModelVersion, deployments.current(store, recipe.name).champion_id)
    learned = [example.answer.text for example in watching.learned_by(store, champion)]
    known = [*_drawn(learned, recipe.seed), *_drawn(live, recipe.seed)]
    found = monitoring.patterns(exchanges, said, recipe.training.objective, known, recipe.improvement)
    for one in (one for pattern in found for one in pattern.feedback if one.opinion == "approved"):
        traffic.say(one.model_copy(update={"opinion": "open"}))
    return found


def decided(loaded: LoadedRecipe, store: Store) -> list[Pattern]:
    """The patterns that somebody has approved or refused, the newest first."""
    recipe, traffic = loaded.recipe, store.traffic
    exchanges = {one.id: one for one in traffic.exchanges(recipe.name)}
    return monitoring.decided(exchanges, traffic.feedback(recipe.name), recipe.training.objective)


def decide(store: Store, pattern: Pattern, decision: Decision) -> None:
    """A reviewer's decision on a pattern: each row keeps it, and the audit log tells of it."""
    for said in pattern.feedback:
        store.traffic.say(said.model_copy(update={"opinion": decision, "pattern": pattern.words}))
    verb = {"approved": "approve", "refused": "refuse", "open": "take apart"}[decision]
    told = f"{len(pattern.rows)} exchanges, {len(pattern.keys)} keys"
    name = pattern.rows[0].exchange.name
    store.note_deed(f"{verb} a pattern of feedback", f"patterns/{name}-{fingerprint_of(pattern.words)}", told)


def _drawn(texts: list[str], seed: int) -> list[str]:
    return random.Random(seed).sample(texts, min(len(texts), MOST_KNOWN))
