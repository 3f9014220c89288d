"""Runs side by side: only what differs of the settings, all of the figures, and a page that asks nobody."""

from __future__ import annotations

import json
from pathlib import Path

from sonneteer.evaluation.abreast import Entrant, abreast, is_comparable
from sonneteer.evaluation.abreast_page import write_abreast
from sonneteer.records import Usage
from sonneteer.store.prices import Priced, Prices

from .test_advice import REPORT
from .test_evaluate import HOSTILE, dataset, run

PRICES = Prices(currency="EUR", machines={"this machine": Priced(price_per_hour=0.5)})


def entrants() -> list[Entrant]:
    first, usage = run(), Usage(prompt_tokens=500, answer_tokens=100, seconds=0.36)
    training = first.recipe["training"] | {"learning_rate": 0.1}
    second = first.model_copy(update={"recipe": first.recipe | {"training": training}, "seconds": 7200.0})
    told = REPORT.model_copy(update={"usage": usage, "test_openings": 2})
    return [Entrant("one", first, dataset(), told), Entrant("two", second, dataset(), None)]


def cells(name: str, told: list[Entrant]) -> list[str]:
    return next([cell.text for cell in row.cells] for row in abreast(told, PRICES) if row.name == name)


def test_only_settings_that_differ_are_shown_and_all_costs() -> None:
    told = entrants()
    names = [row.name for row in abreast(told, PRICES)]
    assert "training.learning_rate" in names
    assert "training.epochs" not in names
    assert cells("verdict", told) == ["better", "not evaluated"]
    assert cells("time to train", told) == ["0 s", "2 h 0 min"]
    assert cells("training, at your price", told) == ["0 EUR", "1 EUR"]
    assert cells("1,000 answers", told) == ["0.05 EUR", "-"]
    assert cells("train examples", told) == ["12", "12"]


def test_figures_of_other_sealed_examples_are_not_comparable() -> None:
    one, two = entrants()
    other = dataset().splits["test"].model_copy(update={"fingerprint": "other"})
    data = dataset().model_copy(update={"splits": dataset().splits | {"test": other}})
    assert is_comparable([one, two._replace(dataset=data)]), "what was not evaluated has no figures"
    assert not is_comparable([one, two._replace(dataset=data, report=REPORT)])
    assert is_comparable([one, two._replace(report=REPORT)])


def test_the_page_is_whole_asks_nobody_and_has_its_figures_as_json(tmp_path: Path) -> None:
    one, two = entrants()
    report = REPORT.model_copy(update={"reasons": (HOSTILE,), "verdict": "not better"})
    page = write_abreast([one, two._replace(report=report)], PRICES, tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert not any(asking in page for asking in ("src=", 'href="http', "@import", "url(http"))
    assert page.count("<svg") == 1
    told = json.loads((tmp_path / "page.json").read_text())
    assert {row["name"]: len(row["cells"]) for row in told["rows"]}["rouge l"] == 2
    assert told["runs"][0]["report"]["comparisons"] == json.loads(REPORT.model_dump_json())["comparisons"]
