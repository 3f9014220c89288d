"""Turn raw sources into a frozen, split data set, with the fate of every row on record."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from sonneteer.data.balance import refuse_unknown_values, weighted
from sonneteer.data.bonds import member_of, refuse_unknown_tags
from sonneteer.data.candidates import Candidate, Unpacked
from sonneteer.data.clean import Counted, learnable, refuse_above, refuse_nothing, refuse_unknown_fates
from sonneteer.data.contamination import KeptOut
from sonneteer.data.counterfactual import swapped_copies
from sonneteer.data.files import SourceFile, load
from sonneteer.data.forget import PARTIAL, forgotten_people
from sonneteer.data.freeze import Draft, freeze, ids_in
from sonneteer.data.hands import Hands, hands_of
from sonneteer.data.ledger import Ledger
from sonneteer.data.locations import expanded, fetch
from sonneteer.data.private import refuse_private
from sonneteer.data.read import rows_of
from sonneteer.data.refusal import kept_if_refused
from sonneteer.data.sources import gather, refuse_repeated, refuse_unanswered
from sonneteer.data.split import split
from sonneteer.data.steps import corpus_steps, private_steps, row_steps
from sonneteer.data.suited import BothAnswers
from sonneteer.errors import MissingError
from sonneteer.privacy import vault_id
from sonneteer.progress import Progress, Silent
from sonneteer.recipe.sections import Recipe
from sonneteer.records import KEPT, DatasetVersion, Example, Renderer, SplitName, fingerprint_of
from sonneteer.store import Store

SILENT = Silent()
MANY = 10_000
"""More examples take so long that whoever waits is told what for."""
EDITION = 11
"""Counts the changes of this preparation itself: what an older one made is not taken for the same."""


class Reader(Protocol):
    """The model that will learn from the data: its template and tokenizer decide what is too long."""

    @property
    def fingerprint(self) -> str:
        """Of what decides how it renders."""
        ...

    def renderer(self, examples: Sequence[Example]) -> Renderer:
        """How it reads. A model from scratch makes its tokenizer from the examples."""
        ...


def prepare(
    recipe: Recipe,
    folder: Path,
    store: Store,
    reader: Reader,
    progress: Progress = SILENT,
    watching: DatasetVersion | None = None,
) -> DatasetVersion:
    """Read, clean, split and freeze. The same sources and settings give the same version, found at once.

    With `watching`, that data set's validation and test examples stand in the new one as they are, and nothing that
    is bound to them is learned: so trainings on data that was prepared in several ways can be compared.

    Raises DataError where sources cannot be read; RefusedError, with its ledger, where too many rows are broken, or
    nothing is left to learn.
    """
    data = recipe.data.model_copy(update={"sources": tuple(expanded(recipe.data.sources, folder, progress.note))})
    refuse_repeated(data.sources)
    refuse_unanswered(data.sources)
    refuse_unknown_fates(data.fail_above)
    files = [fetch(source, folder, store) for source in data.sources]
    kept_out = [load(folder / path) for path in recipe.data.clean.evaluation_files]
    prepared_from = _origin(recipe, [source.path for source in data.sources], [*files, *kept_out], reader)
    if recipe.privacy.vault:
        prepared_from = fingerprint_of([prepared_from, vault_id(folder / recipe.privacy.vault)])
    prepared_from = fingerprint_of([prepared_from, watching.id]) if watching else prepared_from
    known = _known(store, prepared_from)
    if known is not None:
        progress.note(f"Data set {known.id} holds exactly this already.")
        return known
    ledger, kept_in = Ledger(), store.root / PARTIAL / recipe.name
    key = secrets.token_hex() if recipe.privacy.is_key_thrown_away else ""  # parts with other pseudonyms do not suit
    hands = hands_of(data, kept_in / fingerprint_of([prepared_from, sorted(forgotten_people(store)), key]))
    known_texts = _kept_out(kept_out, recipe.data.clean.evaluation_files)
    steps = row_steps(recipe.data.clean, known_texts, recipe.training.objective) + private_steps(recipe, folder, store)
    with kept_if_refused(ledger, kept_in / f"{prepared_from}.refused"):
        sources, candidates = gather(data, files, steps, ledger, progress, hands)
        refuse_private(ledger)
        refuse_unknown_tags(candidates, data)
        if len(candidates) > MANY:
            progress.note(f"Comparing {len(candidates):,} examples with one another, then counting their tokens.")
        for step in corpus_steps(data, hands):
            candidates = step(candidates, ledger)
        refuse_nothing(candidates, ledger)
        refuse_unknown_values(candidates, data.balance)
        if watching:
            _hold_out(candidates, store, watching)
            recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"leaks": "drop"})})
        sides = _sides(candidates, recipe, reader, ledger, hands)
        refuse_above(recipe.data.fail_above, ledger)
    held_out = {side: watching.splits[side] for side in KEPT[1:]} if watching else {}
    dataset = freeze(Draft(recipe.name, prepared_from, sources, sides, ledger, held_out), store)
    shutil.rmtree(kept_in, ignore_errors=True)
    return dataset


def _sides(
    candidates: Sequence[Candidate], recipe: Recipe, reader: Reader, ledger: Ledger, hands: Hands
) -> dict[SplitName, list[Counted]]:
    """What can be learned of the candidates, on its sides, and the swapped copies beside what is learned."""
    renderer = reader.renderer(Unpacked(candidates))
    if recipe.training.objective != "imitation":
        renderer = BothAnswers(renderer)
    sides = _split(learnable(candidates, recipe.data, renderer, ledger, hands), recipe, ledger)
    if recipe.data.balance.swaps:
        learned = [one.candidate for one in sides["train"]]
        others = [one.candidate for side in KEPT[1:] for one in sides[side]]
        copies = swapped_copies(learned, others, recipe.data, ledger)
        sides["train"] += learnable(copies, recipe.data, renderer, Ledger(), hands) if copies else []
    return sides


def _hold_out(candidates: Sequence[Candidate], store: Store, watching: DatasetVersion) -> None:
    """What watches or is sealed there is on that side here too, and all else is learned."""
    known = {id: side for side in KEPT[1:] for id in ids_in(store, watching, side)}
    for candidate in candidates:
        if candidate.side != "replay":
            candidate.side = known.get(candidate.id, "train")


def _kept_out(files: Sequence[SourceFile], names: Sequence[str]) -> KeptOut | None:
    if not files:
        return None
    kept_out = KeptOut()
    for name, file in zip(names, files, strict=True):
        kept_out.add(name, rows_of(file))
    return kept_out


def _origin(recipe: Recipe, names: Sequence[str], files: Sequence[SourceFile], reader: Reader) -> str:
    """Fingerprint of everything that the result depends on."""
    settings = recipe.model_dump(mode="json", include={"data", "privacy"}, exclude={"data": {"processes", "spread"}})
    contents = [[*names], [file.sha256 for file in files]]
    return fingerprint_of(
        [EDITION, recipe.name, recipe.seed, settings, recipe.training.objective, contents, reader.fingerprint]
    )


def _known(store: Store, prepared_from: str) -> DatasetVersion | None:
    """The data set that was prepared from exactly this, if all its files are still there."""
    for dataset in store.find(DatasetVersion, prepared_from=prepared_from):
        try:
            for file in (dataset.ledger_file, *(part.file for part in dataset.splits.values())):
                store.path(file)
        except MissingError:
            continue
        return dataset
    return None


def _split(counted: Sequence[Counted], recipe: Recipe, ledger: Ledger) -> dict[SplitName, list[Counted]]:
    """The sides of the user's own examples; general examples stand beside them, and never change them."""
    general = [one for one in counted if one.candidate.side == "replay"]
    sides = _dealt([one for one in counted if one.candidate.side != "replay"], recipe, ledger)
    if general:
        sides["replay"] = _replayable(general, sides, recipe, ledger)
    return sides


def _replayable(
    general: Sequence[Counted], sides: dict[SplitName, list[Counted]], recipe: Recipe, ledger: Ledger
) -> list[Counted]:
    """Those that have nothing in common with what watches the training or is sealed."""
    watching = [one.candidate for side in KEPT[1:] for one in sides[side]]
    known = {bond: one.place for one in watching for bond in member_of(one, recipe.data.keep_together).bonds}
    kept = []
    for one in general:
        own = member_of(one.candidate, recipe.data.keep_together).bonds
        leak = next((bond for bond in own if bond in known), None)
        if leak is None:
            ledger.enter(one.candidate.entry("replay"))
            kept.append(one)
        else:
            ledger.enter(one.candidate.entry("dropped", f"leak: the same {leak[0]} as {known[leak]}"))
    return kept


def _dealt(counted: Sequence[Counted], recipe: Recipe, ledger: Ledger) -> dict[SplitName, list[Counted]]:
    data = recipe.data
    members = [member_of(one.candidate, data.keep_together, data.stratify_by) for one in counted]
    dealt = split(members, data, recipe.seed)
    sides: dict[SplitName, list[Counted]] = {name: [] for name in KEPT}
    for index, (one, side) in enumerate(zip(counted, dealt.sides, strict=True)):
        if side is None:
            kind, other = dealt.leaks[index]
            said = f"leak: the same {kind} as {counted[other].candidate.place} in {dealt.sides[other]}"
            ledger.enter(one.candidate.entry("dropped", said))
        else:
            if side == "train":
                one = one._replace(candidate=weighted(one.candidate, data.balance))
            ledger.enter(one.candidate.entry(side))
            sides[side].append(one)
    return sides
