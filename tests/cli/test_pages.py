"""What people see at the end of a command."""

from __future__ import annotations

import io
from pathlib import Path
from typing import get_args

import pytest
from rich.console import Console, RenderableType

from sonneteer.cli.pages import (
    FATES,
    VERDICTS,
    comparison_table,
    figure,
    ledger_page,
    next_steps,
    token_page,
    verdict_page,
)
from sonneteer.records import Fate, Judging, Verdict
from tests.cli.conftest import DATASET, report_with


def printed(page: RenderableType, width: int = 80, has_colours: bool = False) -> str:
    stream = io.StringIO()
    Console(
        file=stream, width=width, force_terminal=has_colours, color_system="standard" if has_colours else None
    ).print(page)
    return stream.getvalue()


def test_every_fate_and_every_verdict_has_its_words() -> None:
    assert set(FATES) == set(get_args(Fate))
    assert set(VERDICTS) == set(get_args(Verdict))


def test_the_rows_of_the_ledger_add_up_to_its_last_line() -> None:
    lines = [line.split("│") for line in printed(ledger_page(DATASET)).splitlines() if line.startswith("│")]
    counts = [int(line[2]) for line in lines if line[2].strip().isdigit()]
    assert sum(counts[:-1]) == counts[-1] == DATASET.rows


def test_the_figures_fit_a_terminal_of_eighty_columns() -> None:
    lines = printed(comparison_table(report_with("better")), width=74).splitlines()
    assert len(lines) == 3


def test_the_verdict_names_further_models_the_judge_and_how_often_the_examples_were_opened() -> None:
    told = report_with("better")
    judging = Judging(by="big", preference=told.comparisons[0], ties=1, labelled=9, order_share=0.25, longer_share=0.7)
    more = {"against": {"few_shot": told.comparisons[:1]}, "judging": judging, "test_openings": 3}
    text = " ".join(printed(verdict_page(told.model_copy(update=more)), width=200).split())
    for words in (
        "against few shot:",
        "1 tie",
        "order of the answers in 25%",
        "in 70% of the decided",
        "opened 3 times",
    ):
        assert words in text


def test_gains_are_green_above_zero_and_red_below() -> None:
    text = printed(comparison_table(report_with("better")), has_colours=True)
    assert "\x1b[32m+3.5" in text
    assert "\x1b[31m-0.1" in text


@pytest.mark.parametrize(
    ("value", "words"), [(0.123456, "0.1235"), (12.3456, "12.35"), (1234.5, "1,234"), (float("inf"), "inf"), (0, "0")]
)
def test_figures_have_four_digits_that_count(value: float, words: str) -> None:
    assert figure(value) == words


def test_learned_tokens_stand_out_with_and_without_colours() -> None:
    text = "".join(printed(part, has_colours=True) for part in token_page([[("read", False), ("learned", True)]]))
    assert "\x1b[1;4;32mlearned" in text
    assert "\x1b[2mread" in text
    assert "1 learned token of 2" in text


def test_token_texts_with_brackets_and_line_ends_are_shown_as_they_are() -> None:
    (_, panel) = token_page([[("[red]\n", False), ("<|end|>", True)]])
    text = printed(panel)
    assert "[red]" in text
    assert "<|end|>" in text


def test_next_steps_stand_in_one_column() -> None:
    lines = [printed(line, width=200) for line in next_steps({"a:": "do this", "longer:": Path("x/y")})]
    assert [line.index(word) for line, word in zip(lines, ("do this", "x/y"), strict=True)] == [9, 9]
