"""Which steps a recipe asks for, in their order: those for one example at a time, and those over all of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sonneteer.data.answers import contradictory, suspicious_labels
from sonneteer.data.balance import balanced
from sonneteer.data.boilerplate import without_boilerplate
from sonneteer.data.candidates import Candidate, RowStep
from sonneteer.data.clean import flagged, parted_from_alike, without_duplicates
from sonneteer.data.contamination import KeptOut
from sonneteer.data.forget import forgotten_people, without_forgotten
from sonneteer.data.hands import Hands
from sonneteer.data.languages import only_languages, refuse_unknown
from sonneteer.data.ledger import Ledger
from sonneteer.data.normalise import no_markup, one_unicode, one_white_space
from sonneteer.data.private import without_personal_data
from sonneteer.data.rules import by_rules, limits_of
from sonneteer.data.suited import suited
from sonneteer.privacy import Guard, given_passphrase, open_vault, refuse_unknown_countries
from sonneteer.recipe.learning import Objective
from sonneteer.recipe.sections import CleanSettings, DataSettings, Recipe
from sonneteer.store import Store

ALONE = Hands()
CorpusStep = Callable[[list[Candidate], Ledger], list[Candidate]]
"""A step that looks at all examples. It enters the fates of those that it loses, and remarks on others."""


def row_steps(clean: CleanSettings, kept_out: KeptOut | None, objective: Objective = "imitation") -> list[RowStep]:
    """Steps that look at one example. They run while the rows are read."""
    steps: list[RowStep] = [partial(suited, objective=objective)]
    steps += [no_markup] if clean.markup else []
    steps += [one_unicode] if clean.unicode else []
    steps += [one_white_space] if clean.white_space else []
    if clean.languages:
        refuse_unknown(clean.languages)
        steps.append(partial(only_languages, languages=clean.languages))
    if limits := limits_of(clean.rules, clean.limits):
        steps.append(partial(by_rules, limits=limits))
    if clean.boilerplate != "off":
        steps.append(partial(without_boilerplate, phrases=clean.boilerplate_phrases, action=clean.boilerplate))
    if kept_out is not None:
        steps.append(partial(kept_out.without_contaminated, share=clean.contaminated_share))
    return steps


def private_steps(recipe: Recipe, folder: Path, store: Store) -> list[RowStep]:
    """Without those who asked to be forgotten, and without personal data; pseudonyms by the vault's key, if any."""
    refuse_unknown_countries(recipe.privacy.countries)
    key, pseudonym_key = store.private_key(), None
    if recipe.privacy.vault:
        path = folder / recipe.privacy.vault
        vault = open_vault(path, given_passphrase(os.environ, path))
        store.note_deed("open the vault", f"vault/{vault.id}", f"to prepare {recipe.name}")
        pseudonym_key = vault.key
    guard = Guard(recipe.privacy, key, pseudonym_key)
    return [without_forgotten(forgotten_people(store), key), without_personal_data(guard)]


def corpus_steps(data: DataSettings, hands: Hands = ALONE) -> list[CorpusStep]:
    """Steps that look at all examples, one after the other."""
    clean = data.clean
    steps: list[CorpusStep] = []
    if data.remove_duplicates:
        steps.append(without_duplicates)
    if clean.near_duplicates != "off":
        steps.append(lambda candidates, ledger: parted_from_alike(candidates, clean, ledger, hands))
    if (action := clean.contradictions) != "off":
        steps.append(lambda candidates, ledger: flagged(candidates, contradictory(candidates), action, ledger))
    if (verdict := clean.wrong_labels) != "off":
        steps.append(lambda candidates, ledger: flagged(candidates, suspicious_labels(candidates), verdict, ledger))
    if data.balance.by is not None:
        steps.append(lambda candidates, ledger: balanced(candidates, data.balance, ledger))
    return steps
