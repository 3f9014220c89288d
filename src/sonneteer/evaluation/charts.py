"""The pictures of a dossier as SVG: losses over the steps, the learning curve, and gains with their intervals."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sonneteer.evaluation.learning_curve import LearningCurve
from sonneteer.records import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that read on a light and on a dark page; texts stay texts, in the page's own font.
INK, TRAINING, VALIDATION = "#7a7f87", "#8fb3d9", "#d9822b"
COLOURS = (VALIDATION, "#4a8fd0", "#3aa37a", "#b56ac4", "#c9a227", "#d9534f")
STYLE = {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10.0, "svg.hashsalt": "sonneteer"}


def plot_losses(metrics_path: Path, target: Path) -> None:
    """Write the loss plot of a run beside its metrics."""
    target.write_text(losses_svg(read_metrics(metrics_path)), encoding="utf-8")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file."""
    return [json.loads(line) for line in path.read_text().split("\n") if line.strip()]


def losses_svg(metrics: Sequence[dict[str, Any]]) -> str:
    """Training and validation loss over the steps; the best validation is marked."""
    training = [(line["step"], line["loss"]) for line in metrics if "loss" in line]
    validation = [(line["step"], line["validation_loss"]) for line in metrics if "validation_loss" in line]
    with _picture(3.2) as (figure, axes):
        if training:
            axes.plot(*zip(*training, strict=True), color=TRAINING, linewidth=1.2, label="training")
        if validation:
            axes.plot(*zip(*validation, strict=True), color=VALIDATION, marker="o", markersize=4, label="validation")
            step, loss = min(validation, key=lambda point: point[1])
            axes.annotate(
                f"best: {loss:.3f}", (step, loss), (0, 12), textcoords="offset points", ha="center", color=VALIDATION
            )
        axes.set_xlabel("step", color=INK)
        axes.set_ylabel("loss (nats per token)", color=INK)
        if training or validation:
            axes.legend(loc="upper right", frameon=False, labelcolor=INK)  # looking for the best place can take seconds
        return _svg(figure)


def learning_curve_svg(curve: LearningCurve) -> str:
    """Validation loss over the number of training examples; each doubling is as wide as any other."""
    counts = [point.examples for point in curve.points]
    losses = [point.validation_loss for point in curve.points]
    with _picture(2.6) as (figure, axes):
        axes.set_xscale("log", base=2)
        axes.plot(counts, losses, color=VALIDATION, marker="o", markersize=5)
        for count, loss in zip(counts, losses, strict=True):
            axes.annotate(
                f"{loss:.3f}", (count, loss), (0, 8), textcoords="offset points", ha="center", color=VALIDATION
            )
        axes.set_xticks(counts, [f"{point.examples:,}\n({point.share:.0%})" for point in curve.points])
        axes.xaxis.minorticks_off()
        axes.margins(0.08, 0.25)
        axes.set_xlabel("training examples", color=INK)
        axes.set_ylabel("validation loss", color=INK)
        return _svg(figure)


def gains_svg(comparisons: Mapping[str, Sequence[Comparison]]) -> str:
    """By model, each metric's gain as share of the base model's figure, with its interval."""
    shown = {name: {c.metric: c for c in told if _has_share(c)} for name, told in comparisons.items()}
    metrics = list(dict.fromkeys(metric for told in shown.values() for metric in told))
    apart = 0.6 / max(1, len(shown))
    with _picture(0.7 + (0.3 + 0.12 * len(shown)) * len(metrics)) as (figure, axes):
        for number, (name, told) in enumerate(shown.items()):
            colour = COLOURS[number % len(COLOURS)]
            for metric, one in told.items():
                place = len(metrics) - 1 - metrics.index(metric) + apart * ((len(shown) - 1) / 2 - number)
                scale = 100 / abs(one.base.value)
                axes.plot(
                    [one.gain.low * scale, one.gain.high * scale], [place, place], color=INK, linewidth=3, alpha=0.6
                )
                axes.plot([one.gain.value * scale], [place], "o", color=colour, markersize=7)
            axes.plot([], [], "o", color=colour, label=name)
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_yticks(range(len(metrics)), [metric.replace("_", " ") for metric in reversed(metrics)])
        axes.set_xlabel("gain in percent of the base model's figure (right of the line is better)", color=INK)
        if len(shown) > 1:
            figure.legend(loc="outside upper center", ncols=3, frameon=False, labelcolor=INK)
        return _svg(figure)


def _has_share(one: Comparison) -> bool:
    return bool(one.base.value) and math.isfinite(one.gain.low) and math.isfinite(one.gain.high)


@contextmanager
def _picture(height: float) -> Iterator[tuple[Figure, Axes]]:
    import matplotlib  # most commands draw nothing, and need not wait for it
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, height), layout="constrained")
        axes = figure.add_subplot()
        figure.patch.set_alpha(0)
        axes.patch.set_alpha(0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(INK)
        axes.tick_params(colors=INK)
        yield figure, axes


def _svg(figure: Figure) -> str:
    """Only the <svg> element, without the XML head and without a date, so that the same figures give the same file."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
