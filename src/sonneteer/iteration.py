"""What to do next: advice from all that is known, runs side by side, answers to judge, and bad ones that must not come
back. Loads no model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sonneteer import data, evaluation, versions
from sonneteer.errors import MissingError, RecipeError
from sonneteer.recipe import LoadedRecipe
from sonneteer.records import Case, DatasetVersion, ModelVersion, Report, Run, fingerprint_of
from sonneteer.search.found import SearchReport
from sonneteer.store import Store
from sonneteer.store.prices import Prices, read_prices


def advise(loaded: LoadedRecipe, store: Store) -> list[evaluation.Advice]:
    """What promises most for the newest model, with evidence. Nothing is computed anew."""
    model = versions.newest(loaded, store)
    run, dataset = store.get(Run, model.run_id), store.get(DatasetVersion, model.dataset_id)
    report = store.get(Report, model.report_id) if model.report_id else None
    ledger = data.read_ledger(store, dataset)
    return evaluation.advise(evaluation.Facts(run, report, dataset, ledger, _searched(store, dataset)))


class Compared(NamedTuple):
    """Runs side by side."""

    entrants: list[evaluation.Entrant]
    prices: Prices
    page: Path


def compare(store: Store, ids: Sequence[str]) -> Compared:
    """Runs, named by their ids, by those of their models, or of their reports; with a page in the workspace.

    Raises MissingError for all ids that are unknown, and RecipeError for fewer than two.
    """
    if len(set(ids)) < 2:
        raise RecipeError("Name at least two different runs, models or reports to compare.")
    unknown = [id for id in ids if not _is_known(store, id)]
    if unknown:
        known = [*(model.id for model in store.find(ModelVersion)), *(run.id for run in store.find(Run))]
        raise MissingError(
            f"There is no run, model or report {', '.join(map(repr, unknown))} in {store.root}. It has: "
            f"{', '.join(known[:8]) or 'none yet'}."
        )
    entrants, prices = [_entrant(store, id) for id in dict.fromkeys(ids)], read_prices(store.root / "prices.yaml")
    page = store.root / f"comparison-{fingerprint_of([one.name for one in entrants])}.html"
    return Compared(entrants, prices, evaluation.write_abreast(entrants, prices, page))


def pairs_to_judge(loaded: LoadedRecipe, store: Store) -> evaluation.Ballot:
    """The newest model's answers beside its base model's, for people to judge; what they say is kept with the run."""
    model = versions.newest(loaded, store)
    run, dataset = store.get(Run, model.run_id), store.get(DatasetVersion, model.dataset_id)
    pairs = evaluation.read_pairs(loaded.recipe, run, store, data.read_split(store, dataset, "test"))
    if not pairs:
        raise MissingError(f"There are no answers of {model.id} to judge yet: sonneteer evaluate {loaded.path}")
    return evaluation.Ballot(pairs, evaluation.labels_of(store, run))


def add_case(loaded: LoadedRecipe, store: Store, mistake: evaluation.Mistake) -> Case:
    """Keep a bad answer, so that every later evaluation asks again. Raises RecipeError for a case that cannot tell the
    good answer from the bad one."""
    case = evaluation.case_of(mistake)
    if not evaluation.tells(case):
        raise RecipeError(
            f"This case would not tell the good answer {case.good!r} from the bad one {case.bad!r}. Phrases decide "
            "where there are some: the good answer holds all of --must and none of --must-not, the bad one does not. "
            "Without phrases, the two answers must differ in their words."
        )
    evaluation.add_cases(store, loaded.recipe.name, [case])
    return case


def mistake_in(loaded: LoadedRecipe, store: Store, exchange_id: str, good: str | None) -> evaluation.Mistake:
    """A live answer that was bad, with a good one: the given one, or the last correction that somebody sent."""
    exchange = store.traffic.exchange(exchange_id)
    if exchange.name != loaded.recipe.name:
        raise MissingError(f"The exchange '{exchange.id}' is one of {exchange.name}, and not of {loaded.recipe.name}.")
    said = [one for one in store.traffic.feedback(exchange.name) if one.exchange_id == exchange.id and one.correction]
    if good is None and not said:
        raise MissingError(f"Nobody has said what the answer of '{exchange.id}' should have been: add --good TEXT.")
    right = good if good is not None else said[-1].correction or ""
    return evaluation.Mistake(exchange.prompt.messages, exchange.answer.text, right)


def cases(loaded: LoadedRecipe, store: Store) -> tuple[Case, ...]:
    """All cases of the recipe's name."""
    return evaluation.read_cases(store, loaded.recipe.name)


def _is_known(store: Store, id: str) -> bool:
    return bool(store.find(ModelVersion, id=id) or store.find(Run, id=id) or store.find(Report, id=id))


def _entrant(store: Store, id: str) -> evaluation.Entrant:
    models, reports = store.find(ModelVersion, id=id), store.find(Report, id=id)
    run = store.get(Run, reports[0].run_id if reports else models[0].run_id if models else id)
    found = reports or store.find(Report, run_id=run.id)
    return evaluation.Entrant(id, run, _dataset(store, run), found[0] if found else None)


def _dataset(store: Store, run: Run) -> DatasetVersion | None:
    return next(iter(store.find(DatasetVersion, id=run.dataset_id)), None)


def _searched(store: Store, dataset: DatasetVersion) -> evaluation.Searched | None:
    """The newest search on these data."""
    for path in sorted((store.root / "search").glob(f"{dataset.name}-*/report.json"), key=_age, reverse=True):
        found = SearchReport.model_validate_json(path.read_bytes())
        if found.dataset_id == dataset.id and found.own_loss is not None:
            return evaluation.Searched(found.own_loss, found.chosen.mean, found.chosen.settings)
    return None


def _age(path: Path) -> float:
    return path.stat().st_mtime
