"""What to do next: advice from all that is known, runs side by side, and bad answers that must not come back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sonneteer import data, evaluation, versions
from sonneteer.errors import MissingError
from sonneteer.recipe import LoadedRecipe
from sonneteer.records import Case, DatasetVersion, ModelVersion, Report, Run
from sonneteer.search.report import SearchReport
from sonneteer.store import Store


def advise(loaded: LoadedRecipe, store: Store) -> list[evaluation.Advice]:
    """What promises most for the newest model, with evidence. Nothing is computed anew."""
    model = versions.newest(loaded, store)
    run, dataset = store.get(Run, model.run_id), store.get(DatasetVersion, model.dataset_id)
    report = store.get(Report, model.report_id) if model.report_id else None
    ledger = data.read_ledger(store, dataset)
    return evaluation.advise(evaluation.Facts(run, report, dataset, ledger, _searched(store, dataset)))


def compare(store: Store, ids: Sequence[str]) -> list[evaluation.Entrant]:
    """Runs, named by their ids, by those of their models, or of their reports. Raises MissingError."""
    return [_entrant(store, id) for id in ids]


def add_case(loaded: LoadedRecipe, store: Store, mistake: evaluation.Mistake) -> Case:
    """Keep a bad answer, so that every later evaluation asks again."""
    case = evaluation.case_of(mistake)
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


def _entrant(store: Store, id: str) -> evaluation.Entrant:
    models, reports = store.find(ModelVersion, id=id), store.find(Report, id=id)
    if reports:
        return evaluation.Entrant(id, store.get(Run, reports[0].run_id), reports[0])
    found = store.find(Run, id=models[0].run_id if models else id)
    if not found:
        known = [*(model.id for model in store.find(ModelVersion)), *(run.id for run in store.find(Run))]
        raise MissingError(
            f"There is no run, model or report '{id}' in {store.root}. It has: {', '.join(known[:8]) or 'none yet'}."
        )
    newest = store.find(Report, run_id=found[0].id)
    return evaluation.Entrant(id, found[0], newest[0] if newest else None)


def _searched(store: Store, dataset: DatasetVersion) -> evaluation.Searched | None:
    """The newest search on these data."""
    for path in sorted((store.root / "search").glob(f"{dataset.name}-*/report.json"), key=_age, reverse=True):
        found = SearchReport.model_validate_json(path.read_bytes())
        if found.dataset_id == dataset.id and found.own_loss is not None:
            return evaluation.Searched(found.own_loss, found.chosen.mean, found.chosen.settings)
    return None


def _age(path: Path) -> float:
    return path.stat().st_mtime
