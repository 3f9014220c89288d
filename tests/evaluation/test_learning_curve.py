"""The learning curve says whether more examples would help, on the page and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sonneteer.evaluation.dossier import Papers, write_dossier
from sonneteer.evaluation.learning_curve import learning_curve_of
from sonneteer.records import CurvePoint

from .test_advice import REPORT, RUN
from .test_evaluate import dataset


def points(*losses: tuple[int, float]) -> tuple[CurvePoint, ...]:
    return tuple(CurvePoint(share=n / 12, examples=n, validation_loss=loss) for n, loss in losses)


def test_what_a_doubling_gained_is_a_share_of_the_present_loss() -> None:
    curve = learning_curve_of(REPORT.model_copy(update={"learning_curve": points((6, 2.5), (3, 3.0))}), RUN, dataset())
    assert curve is not None
    assert [point.examples for point in curve.points] == [3, 6, 12]
    assert curve.gain_per_doubling == pytest.approx(0.2)
    assert "Twice as many examples" in curve.says


@pytest.mark.parametrize(("loss", "says"), [(2.005, "would hardly help"), (1.9, "would not help")])
def test_a_flat_or_rising_curve_asks_for_no_more(loss: float, says: str) -> None:
    curve = learning_curve_of(REPORT.model_copy(update={"learning_curve": points((6, loss))}), RUN, dataset())
    assert curve is not None
    assert curve.is_flat
    assert says in curve.says


def test_a_share_that_is_rounded_up_to_all_examples_says_nothing() -> None:
    assert learning_curve_of(REPORT.model_copy(update={"learning_curve": points((12, 2.0))}), RUN, dataset()) is None
    assert learning_curve_of(REPORT, RUN, dataset()) is None


def test_the_dossier_shows_the_curve_with_its_plot_and_keeps_it_as_json(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text('{"step": 1, "loss": 2.5}\n')
    told = REPORT.model_copy(update={"learning_curve": points((3, 3.0), (6, 2.5))})
    page = write_dossier(Papers(told, RUN, dataset(), [], metrics), tmp_path / "dossier.html").read_text()
    section = page[page.index("Would more examples help?") :]
    assert section.index("<svg") < section.index("</section>")
    assert "20.0% less for each doubling" in section
    figures = json.loads((tmp_path / "dossier.json").read_text())["learning_curve"]
    assert figures["gain_per_doubling"] == pytest.approx(0.2)
    assert len(figures["points"]) == 3
