"""The learning curve: what the same training comes to with a part of the examples, and what more would bring."""

from __future__ import annotations

import math

from sonneteer.records import CurvePoint, DatasetVersion, Record, Report, Run

WORTH = 0.01
"""Share of the present figure below which a step is not worth its trouble."""


class LearningCurve(Record):
    """Validation loss by the number of training examples."""

    points: tuple[CurvePoint, ...]
    """From the smallest share up to all examples, two or more."""
    gain_per_doubling: float
    """By how much the loss fell for each doubling between the last two points, as share of what it was; negative where
    it rose."""
    says: str
    """What that means for collecting more."""

    @property
    def is_flat(self) -> bool:
        """Whether more examples of the same kind are not worth their trouble."""
        return self.gain_per_doubling < WORTH


def learning_curve_of(report: Report, run: Run, dataset: DatasetVersion) -> LearningCurve | None:
    """None where no share was trained, or the run was not watched."""
    count = dataset.splits["train"].examples
    parts = sorted((p for p in report.learning_curve if p.examples < count), key=lambda point: point.examples)
    if not parts or not run.best_validation_loss:
        return None
    last, whole = parts[-1], CurvePoint(share=1.0, examples=count, validation_loss=run.best_validation_loss)
    gain = 1 - (whole.validation_loss / last.validation_loss) ** (1 / math.log2(count / last.examples))
    return LearningCurve(points=(*parts, whole), gain_per_doubling=gain, says=_says(last, whole, gain))


def _says(last: CurvePoint, whole: CurvePoint, gain: float) -> str:
    shown = f"With {last.examples:,} examples the validation loss is {last.validation_loss:.4g}, with "
    shown += f"{whole.examples:,} it is {whole.validation_loss:.4g}: "
    if gain >= WORTH:
        return shown + (
            f"{gain:.1%} less for each doubling. Twice as many examples of the same kind may gain as much again, and "
            "hardly more, for such curves flatten."
        )
    if gain >= 0:
        return shown + f"only {gain:.1%} less for each doubling. More examples of the same kind would hardly help."
    return shown + "no less. More examples of the same kind would not help."
