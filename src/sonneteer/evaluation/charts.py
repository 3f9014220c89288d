"""The two pictures of a dossier as SVG: losses over the steps, and gains with their intervals."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sonneteer.records import Comparison

# A grey and two colours that read on a light and on a dark page; texts stay texts, in the page's own font.
INK, TRAINING, VALIDATION = "#7a7f87", "#8fb3d9", "#d9822b"
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
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(3.2)
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


def gains_svg(comparisons: Sequence[Comparison]) -> str:
    """Each metric's gain as share of the base model's figure, with its interval. Right of the line is better."""
    shown = [c for c in comparisons if c.base.value and math.isfinite(c.gain.low) and math.isfinite(c.gain.high)]
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(0.7 + 0.38 * len(shown))
        for place, comparison in enumerate(reversed(shown)):
            scale = 100 / abs(comparison.base.value)
            gain = comparison.gain
            axes.plot([gain.low * scale, gain.high * scale], [place, place], color=INK, linewidth=3, alpha=0.6)
            axes.plot([gain.value * scale], [place], "o", color=VALIDATION, markersize=7)
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_yticks(range(len(shown)), [c.metric.replace("_", " ") for c in reversed(shown)])
        axes.set_xlabel("gain in percent of the base model's figure (right of the line is better)", color=INK)
        return _svg(figure)


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.2, height), layout="constrained")
    axes = figure.add_subplot()
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK)
    return figure, axes


def _svg(figure: Figure) -> str:
    """Only the <svg> element, without the XML head and without a date, so that the same figures give the same file."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
