"""What a command shows when it is done: the ledger, the verdict with its figures, coloured tokens, what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sonneteer.cli.session import ExitCode

if TYPE_CHECKING:
    from sonneteer.data import Forgotten, Synthesized
    from sonneteer.records import (
        Certificate,
        Comparison,
        DatasetVersion,
        Fate,
        Interval,
        Judging,
        Memorisation,
        PrivacySpent,
        Report,
        Verdict,
    )

FATES: Mapping[Fate, tuple[str, str]] = {
    "train": ("green", "learned from"),
    "validation": ("green", "watch the training"),
    "test": ("green", "sealed until the verdict"),
    "replay": ("green", "general examples, mixed in against forgetting"),
    "duplicate": ("yellow", "said the same as an earlier row"),
    "near_duplicate": ("yellow", "said nearly the same as another row"),
    "contaminated": ("yellow", "held text of an evaluation set"),
    "dropped": ("yellow", "broke a rule that the recipe sets"),
    "too_long": ("yellow", "longer than data.max_tokens or the model's context"),
    "nothing_to_learn": ("yellow", "held no answer to learn"),
    "disliked": ("yellow", "answers that people did not like"),
    "private": ("yellow", "held personal data that may not stay"),
    "broken": ("red", "could not be read"),
}
"""Colour and plain words for what became of a row."""

VERDICTS: Mapping[Verdict, tuple[str, ExitCode, str]] = {
    "better": ("green", ExitCode.DONE, "Better: the tuned model may replace its base."),
    "not better": ("red", ExitCode.NOT_BETTER, "Not better: do not ship this model."),
    "cannot tell": ("yellow", ExitCode.CANNOT_TELL, "Cannot tell: these examples are too few, or too much alike."),
}


def ledger_page(dataset: DatasetVersion) -> RenderableType:
    """What became of every source row, with the sum."""
    table = Table(
        title=f"Ledger of {dataset.id}", title_justify="left", title_style="bold", show_footer=True, box=ROUNDED
    )
    table.add_column("what became of the rows", footer="all rows")
    table.add_column("rows", justify="right", footer=f"{dataset.rows:,}")
    table.add_column("", footer=f"in {count(len(dataset.sources), 'source')}")
    for fate, (colour, words) in FATES.items():
        if rows := dataset.totals.get(fate):
            said = Text(words + learned_share(dataset, fate), style="dim")
            table.add_row(Text(fate.replace("_", " "), style=colour), f"{rows:,}", said)
    return Group(table, *swapped_lines(dataset), *redacted_lines(dataset))


def swapped_lines(dataset: DatasetVersion) -> list[Text]:
    """How many copies of rows are learned besides the rows."""
    copies = dataset.copies
    said = f"learned, too: {copies:,} {'copy' if copies == 1 else 'copies'} of these rows, with groups swapped"
    return [Text(said)] if copies else []


def learned_share(dataset: DatasetVersion, fate: Fate) -> str:
    """How many of a side's tokens are learned; nothing for rows of which none are kept."""
    tokens = sum(number for side, number in dataset.token_counts.items() if side == fate)
    learned = sum(number for side, number in dataset.learned_token_counts.items() if side == fate)
    if not tokens:
        return ""
    name = "learned" if fate == "train" else "of answers"
    return f"; {learned / tokens:.0%} of {tokens:,} tokens {name}"


def redacted_lines(dataset: DatasetVersion) -> list[Text]:
    """What was taken out of the rows, in types and counts."""
    if not dataset.redacted:
        return []
    kinds = ", ".join(f"{kind.replace('_', ' ')} ({number:,})" for kind, number in dataset.redacted.items())
    return [Text(f"redacted in {count(dataset.redacted_rows, 'row')}: {kinds}", style="yellow")]


def forgotten_lines(gone: Forgotten) -> list[Text]:
    """What a person's leaving touched."""
    if not gone.rows:
        return [Text("No data set holds rows of this person. Later ones will not either.", style="yellow")]
    named = {"from data sets": gone.datasets, "whose runs are": gone.runs, "train again": gone.models}
    lines = [Text(f"{count(gone.rows, 'row')} taken out. The sources' own files are yours to clean.", style="green")]
    lines += [Text(f"{words}: {', '.join(ids)}") for words, ids in named.items() if ids]
    return lines + [Text(f"removed, since it may show their words: {path}") for path in gone.dossiers]


def synthesis_lines(made: Synthesized) -> list[Text]:
    """What a teacher wrote, what it did not, and what that cost."""
    money = "" if made.money is None else f", which cost {made.money:.2f}"
    head = (
        f"{count(made.examples, 'example')} in {made.target}; {made.tokens:,} tokens{money}, earlier attempts included."
    )
    fates = ", ".join(f"{number:,} {fate}" for fate, number in made.fates.items())
    problems = [Text(f"  {problem}", style="yellow") for problem in made.problems[:5]]
    return [Text(head), Text(f"Passages or rows: {fates}."), *problems]


def verdict_page(report: Report) -> RenderableType:
    """The verdict, the figures behind it, and the reasons."""
    colour, _, words = VERDICTS[report.verdict]
    lines: list[RenderableType] = [Text(words, style=f"bold {colour}"), Text(), comparison_table(report)]
    lines += [Text("↓ less is better. A gain above zero is always an improvement.", style="dim"), Text()]
    lines += [*(Text(f"• {reason}") for reason in report.reasons)]
    lines += [Text(f"• {line}", style="dim") for line in [*_other_arms(report), *_judge_lines(report.judging)]]
    lines += [
        Text(f"• {count(number, 'question')} {'was' if number == 1 else 'were'} declined by {name}", style="dim")
        for name, number in report.declined.items()
    ]
    if report.test_openings > 1:
        looked = f"the sealed examples were opened {report.test_openings} times: this look had to convince at"
        lines.append(Text(f"• {looked} {100 * report.confidence:.4g} % confidence", style="dim"))
    if promise := report.privacy:
        lines.append(Text(f"• differentially private: {_promised(promise)}", style="dim"))
    lines += [Text(f"• {line}", style="dim") for line in memorisation_lines(report.memorisation)]
    if report.generalisation_gap is not None:
        gap = f"{report.generalisation_gap:.3g}{_within(report.gap_interval)}"
        said = f"{gap} more loss on what it did not learn than on what it did"
        lines += [Text(f"• generalisation gap: {said}.", style="dim")]
    lines += [Text(f"• {metric}: not available. {why}", style="dim") for metric, why in report.unavailable.items()]
    return Panel(Group(*lines), title="Verdict", title_align="left", border_style=colour, padding=(1, 2))


def _other_arms(report: Report) -> list[str]:
    """Each further model by the first metric that both have."""
    return [
        f"against {name.replace('_', ' ')}: {one.metric.replace('_', ' ')} {figure(one.base.value)}, tuned "
        f"{figure(one.tuned.value)}, gain {gain(one.gain)}"
        for name, figures in report.against.items()
        for one in figures[:1]
    ]


def _judge_lines(judging: Judging | None) -> list[str]:
    """Whom the judge prefers, and how far it can be trusted."""
    if judging is None:
        return []
    lines = [
        f"{judging.by} preferred the tuned model in {judging.preference.tuned.value:.0%} of "
        f"{judging.preference.examples} pairs, {count(judging.ties, 'tie')}"
    ]
    if judging.order_share is not None:
        lines.append(f"its ruling followed the order of the answers in {judging.order_share:.0%} of the pairs")
    if judging.longer_share is not None:
        lines.append(f"the longer answer was preferred in {judging.longer_share:.0%} of the decided pairs")
    if judging.kappa:
        lines.append(f"agreement with people on {count(judging.labelled, 'pair')}: kappa {_between(judging.kappa)}")
    return lines


def memorisation_lines(found: Memorisation | None) -> list[str]:
    """What the audit of memorisation found, one line for each of its parts."""
    if found is None:
        return []
    lines = [
        f"canaries planted {one.repeats} x: exposed by {_between(one.tuned)} bits of at most {one.most:.3g} "
        f"(base {one.base.value:.3g})"
        for one in found.exposures
    ]
    if found.extraction:
        drawn = found.extraction
        lines.append(
            f"extraction: {drawn.exact_learned.value:.1%} of training answers and {drawn.exact_held_out.value:.1%} of "
            f"test answers go on word for word"
        )
    lines += [f"membership by {one.attack}: area {_between(one.auc)}, 0.5 is chance" for one in found.memberships]
    if found.personal:
        lines.append(
            f"personal data in {found.personal.tuned.value:.1%} of the answers (base {found.personal.base.value:.1%}), "
            f"from training in {found.personal.from_training}"
        )
    return lines + [f"{name}: not measured, {why}" for name, why in found.unavailable.items()]


def _promised(promise: PrivacySpent) -> str:
    said = f"epsilon {promise.epsilon:.3g} at delta {promise.delta:.2g} for each {promise.unit}"
    if promise.unit == "example" and promise.largest_multiplicity:
        said += f"; one person has {promise.largest_multiplicity}, and is hidden that much less"
    return said


def _between(interval: Interval) -> str:
    return f"{interval.value:.3g} [{interval.low:.3g}, {interval.high:.3g}]"


def _within(interval: Interval | None) -> str:
    return f" [{interval.low:.3g}, {interval.high:.3g}]" if interval else ""


def comparison_table(report: Report) -> Table:
    """Base and tuned model on the same test examples, metric by metric."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("metric")
    for name in ("base", "tuned"):
        table.add_column(name, justify="right")
    table.add_column(f"gain  [{100 * report.confidence:.4g} % interval]")
    for one in report.comparisons:
        name = one.metric.replace("_", " ") + ("" if one.higher_is_better else " ↓")
        table.add_row(name, figure(one.base.value), figure(one.tuned.value), Text(gain(one.gain), style=shade(one)))
    return table


def certificate_page(certificate: Certificate) -> RenderableType:
    """What was proven of the model, check by check."""
    lines = [
        Text.assemble(
            ("✓ " if check.is_passed else "✗ ", "green" if check.is_passed else "bold red"),
            check.name,
            (f"  {check.says}", "dim" if check.is_passed else "red"),
        )
        for check in certificate.checks
    ]
    colour, words = ("green", "valid") if certificate.is_valid else ("red", "not valid: do not serve this model")
    title = f"Certificate of {certificate.model_id}: {words}"
    return Panel(Group(*lines), title=title, title_align="left", border_style=colour, padding=(1, 2))


def promotion_page(model: str, refusals: Sequence[str], is_done: bool) -> list[RenderableType]:
    """Champion or not, and what speaks against it."""
    if not is_done:
        return refusal_lines(f"{model} is not promoted:", refusals)
    return [Text(f"{model} is the champion now.", style="bold green"), *(Text(f"• {refusal}") for refusal in refusals)]


def refusal_lines(first: str, refusals: Sequence[str]) -> list[RenderableType]:
    """What is not done, and what speaks against it."""
    return [Text(first, style="bold red"), *(Text(f"• {refusal}") for refusal in refusals)]


def shade(comparison: Comparison) -> str:
    """Green and red where the interval leaves zero out."""
    if comparison.gain.low == comparison.gain.high == 0:
        return "dim"
    if comparison.gain.low > 0:
        return "green"
    return "red" if comparison.gain.high < 0 else "yellow"


def gain(interval: Interval) -> str:
    """A gain with its sign and its bounds."""
    return f"{interval.value:+.4g}  [{interval.low:+.4g}, {interval.high:+.4g}]"


def figure(value: float) -> str:
    """Four digits that count."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def count(number: int, noun: str) -> str:
    """A number of things."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def token_page(examples: Iterable[Sequence[tuple[str, bool]]]) -> list[RenderableType]:
    """Examples as the model reads them; what it learns to write stands out, also without colours."""
    page: list[RenderableType] = [
        Text.assemble("Tokens that are ", ("learned", "bold green underline"), " stand out; the rest is only read.")
    ]
    for number, pieces in enumerate(examples, 1):
        text = Text.assemble(*((token, "bold green underline" if learned else "dim") for token, learned in pieces))
        learned = sum(is_learned for _, is_learned in pieces)
        title = f"Example {number}: {count(learned, 'learned token')} of {len(pieces)}"
        page.append(Panel(text, title=title, title_align="left", border_style="dim"))
    return page


def next_steps(steps: Mapping[str, str | Path]) -> list[RenderableType]:
    """What there is now, and what one can do with it. Commands stand on one line, to be copied."""
    width = max(map(len, steps), default=0) + 2
    return [
        Text.assemble((what.ljust(width), "dim"), (str(how), "cyan" if isinstance(how, str) else "bold"))
        for what, how in steps.items()
    ]
