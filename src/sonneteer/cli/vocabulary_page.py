"""What `sonneteer vocabulary` shows: tokens a word, the words that would save most, and what new tokens did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sonneteer.cli.pages import count
from sonneteer.errors import TakenError

if TYPE_CHECKING:
    from sonneteer.backends.vocabulary import VocabularyReport

SHOWN = 15
LOADS = {
    True: "Who can load it: merged, whatever loads the base model. As an adapter, PEFT (docs/vocabulary.md says how) "
    "and Sonneteer; vLLM, SGLang and llama.cpp take no adapter with new tokens.",
    False: "Who can load it: whatever loads the base model.",
}


def vocabulary_page(report: VocabularyReport, is_adapter: bool) -> list[RenderableType]:
    """Fertility, proposals, what some numbers of them save, and what the recipe's own did."""
    page: list[RenderableType] = [_fertility(report), Text()]
    if not report.proposals:
        return [*page, Text("No word of at least three examples takes more than one token: nothing to gain here.")]
    page += [_proposals(report), Text(), _offers(report), Text()]
    if not report.new_tokens:
        return [*page, Text("The recipe adds none of them yet: base.vocabulary.new_terms says how many.", style="dim")]
    page.append(Text(f"The recipe makes tokens of {count(report.terms, 'word')}: {report.new_tokens:,} new tokens."))
    page += _losses(report)
    return [*page, Text(LOADS[is_adapter], style="dim")]


def write_words(report: VocabularyReport, path: Path) -> None:
    """The proposed words, one a line, each with what it saves. Raises TakenError where something stands already."""
    if path.exists():
        raise TakenError(f"{path} stands here already and is never overwritten. Name another file.")
    lines = [
        f"{one.word}  # saves {one.saving} tokens: {'|'.join(one.pieces)}, {one.times} times"
        for one in report.proposals
    ]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def _fertility(report: VocabularyReport) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("", "words", "tokens", "tokens a word", "tokens a character", "with the recipe's new tokens"):
        table.add_column(name, justify="left" if not name else "right")
    for side, told in report.fertility.items():
        a_word, a_character = told.tokens / max(told.words, 1), told.tokens / max(told.characters, 1)
        saved = f"{told.tokens_with_terms:,}  ({-told.saved_share:+.1%})" if report.new_tokens else "-"
        table.add_row(side, f"{told.words:,}", f"{told.tokens:,}", f"{a_word:.3f}", f"{a_character:.3f}", saved)
    return table


def _proposals(report: VocabularyReport) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("words that would save most", "now", "times", "tokens saved"):
        table.add_column(name, justify="right" if name in {"times", "tokens saved"} else "left")
    for one in report.proposals[:SHOWN]:
        table.add_row(one.word, Text("|".join(one.pieces), style="dim"), f"{one.times:,}", f"{one.saving:,}")
    return table


def _offers(report: VocabularyReport) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("so many of them", "new tokens", "saved on train", "saved on validation"):
        table.add_column(name, justify="right")
    for one in report.offers:
        shares = (f"{one.saved_share[side]:.1%}" for side in ("train", "validation"))
        table.add_row(f"{one.terms:,}", f"{one.tokens:,}", *shares)
    return table


def _losses(report: VocabularyReport) -> list[RenderableType]:
    if report.bits_per_character is None:
        return [Text("Train, and give this command again to see what they did to the loss.", style="dim")]
    told = ", ".join(f"{name} {bits:.4f}" for name, bits in report.bits_per_character.items())
    return [Text(f"Bits per character of validation answers, less is better: {told}.")]
