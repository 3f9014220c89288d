"""Progress: a bar on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from sonneteer.cli.screen import Screen, duration, in_words


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def screen(is_terminal: bool, clock: Clock) -> tuple[Screen, io.StringIO]:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=is_terminal, width=100, color_system=None)
    return Screen(console, clock), stream


def test_a_file_gets_at_most_one_line_every_ten_seconds() -> None:
    clock = Clock()
    shown, stream = screen(False, clock)
    shown.stage("training")
    for step in range(1, 101):
        clock.now += 0.5
        shown.update(step, 100, {"loss": 2.0 / step})
    lines = [line for line in stream.getvalue().splitlines() if line.startswith("training: ")]
    assert [line.split(" of ")[0] for line in lines] == [f"training: {n}" for n in (20, 40, 60, 80, 100)]
    assert lines[0] == "training: 20 of 100 (20%), 40 s left  loss 0.100"
    assert lines[-1] == "training: 100 of 100 (100%)  loss 0.020"


def test_a_terminal_gets_a_bar_that_ends_with_the_stage() -> None:
    shown, stream = screen(True, Clock())
    with shown:
        shown.stage("training")
        shown.update(3, 10, {"loss": 1.25})
        shown.update(10, 10, {"loss": 1.0})
        shown.stage("evaluating")
    text = stream.getvalue()
    assert "Training" in text
    assert "10/10" in text
    assert "100%" in text
    assert "loss 1.000" in text
    assert text.index("10/10") < text.index("Evaluating")


def test_the_same_stage_again_is_one_heading_and_the_same_note_again_one_line() -> None:
    shown, stream = screen(False, Clock())
    for _ in range(2):
        shown.stage("preparing")
        shown.note("9 rows")
    assert stream.getvalue().count("Preparing") == 1
    assert stream.getvalue().count("9 rows") == 1


def test_a_stage_of_unknown_length_is_no_problem() -> None:
    clock = Clock()
    shown, stream = screen(False, clock)
    shown.stage("reading")
    clock.now += 60
    shown.update(0, 0)
    assert stream.getvalue().splitlines()[-1] == "reading: 0 of 0"


def test_markup_in_a_note_is_text() -> None:
    shown, stream = screen(True, Clock())
    shown.note("row [bold]3[/bold]")
    assert "row [bold]3[/bold]" in stream.getvalue()


def test_only_the_figures_that_people_look_at_are_shown() -> None:
    figures: dict[str, float | str] = {
        "tokens_per_second": 1234.5,
        "loss": 1.0,
        "learning_rate": 1e-4,
        "validation_loss": "new best",
    }
    assert in_words(figures) == "loss 1.000  new best  1,234 tokens/s"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (7200, "2.0 h")]
)
def test_durations_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words
