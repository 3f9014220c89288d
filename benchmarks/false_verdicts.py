"""How often the verdict is wrong: simulated comparisons of models of which the truth is known.

    python benchmarks/false_verdicts.py [SIMULATIONS]

Writes the table in docs/statistics.md, between its two marks. Takes about five minutes on one core.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sonneteer.evaluation.compare import Clusters, compare
from sonneteer.evaluation.intervals import Bootstrap
from sonneteer.evaluation.scorers import SCORERS, Scores, Values
from sonneteer.evaluation.significance import holm, spent_confidence
from sonneteer.evaluation.verdict import Evidence, judge
from sonneteer.recipe.sections import PromotionSettings
from sonneteer.records import Comparison

PAGE = Path(__file__).parents[1] / "docs" / "statistics.md"
BEGIN, END = "<!-- simulated: begin -->", "<!-- simulated: end -->"
CONFIDENCE, RESAMPLES = 0.95, 1000
Rng = np.random.Generator


class Pair(NamedTuple):
    """One simulated test: a metric, both models' scores, and which examples belong together."""

    metric: str
    base: Scores
    tuned: Scores
    clusters: Clusters


def plain(values: Values) -> Scores:
    """Scores in which every example counts the same."""
    return Scores(values.astype(float), np.ones(len(values)))


def right_or_wrong(rng: Rng, count: int, gain: float = 0.0) -> Pair:
    """Answers that are right or wrong, hard questions hard for both."""
    ease = rng.beta(2, 1, count) * (1 - gain)
    return Pair(
        "exact_match", plain(rng.random(count) < ease), plain(rng.random(count) < ease + gain), np.arange(count)
    )


def nearly_all_alike(rng: Rng, count: int) -> Pair:
    """Nineteen of twenty answers are the same from both models."""
    base = rng.random(count) < 0.6
    is_changed = rng.random(count) < 0.05
    return Pair(
        "exact_match", plain(base), plain(np.where(is_changed, rng.random(count) < 0.6, base)), np.arange(count)
    )


def likeness(rng: Rng, count: int, gain: float = 0.0) -> Pair:
    """Scores between 0 and 1, such as ROUGE-L."""
    ease = rng.beta(3, 3, count)
    noise = rng.normal(0, 0.15, (2, count))
    return Pair("rouge_l", plain(ease + noise[0]), plain(ease + noise[1] + gain), np.arange(count))


def skewed(rng: Rng, count: int, sign: int) -> Pair:
    """A rare large gain weighs up many small losses, or the other way round: only the mean is the same."""
    return Pair(
        "reading_ease", plain(np.zeros(count)), plain(sign * (rng.exponential(size=count) - 1)), np.arange(count)
    )


def surprise(rng: Rng, count: int) -> Pair:
    """Perplexity, with answers of very different lengths."""
    tokens = rng.lognormal(3, 1, count).round() + 1
    hardness = rng.gamma(4, 0.5, count)
    noise = rng.normal(0, 0.3, (2, count))
    values = (Scores(hardness + one, tokens) for one in noise)
    return Pair("perplexity", *values, np.arange(count))


def of_people(rng: Rng, count: int) -> Pair:
    """Ten questions of each person, who likes one model or the other."""
    people = np.arange(count) // 10
    taste = rng.normal(0, 0.2, people.max() + 1)[people]
    return Pair("reading_ease", plain(rng.normal(0, 0.1, count)), plain(taste + rng.normal(0, 0.1, count)), people)


NULLS: dict[str, Callable[[Rng], Pair]] = {
    "right or wrong, 100 examples": lambda rng: right_or_wrong(rng, 100),
    "right or wrong, 30 examples": lambda rng: right_or_wrong(rng, 30),
    "right or wrong, 95 % the same, 200 examples": lambda rng: nearly_all_alike(rng, 200),
    "likeness (ROUGE-L), 60 examples": lambda rng: likeness(rng, 60),
    "likeness (ROUGE-L), 12 examples": lambda rng: likeness(rng, 12),
    "many small losses, few large gains, 60 examples": lambda rng: skewed(rng, 60, 1),
    "many small gains, few large losses, 60 examples": lambda rng: skewed(rng, 60, -1),
    "perplexity, lengths very different, 60 examples": lambda rng: surprise(rng, 60),
    "20 people with 10 questions each": lambda rng: of_people(rng, 200),
}


def compared(pair: Pair, seed: int, confidence: float = CONFIDENCE) -> Comparison:
    """What the report would say of it."""
    how = Bootstrap(confidence, RESAMPLES, seed)
    return compare(pair.metric, SCORERS[pair.metric], pair.base, pair.tuned, pair.clusters, how)


def is_better(comparison: Comparison, confidence: float = CONFIDENCE) -> bool:
    """Whether the verdict is "better" by the rule that this metric must have gained."""
    rules = PromotionSettings(better_on=(comparison.metric,))
    return judge(Evidence([comparison]), rules, confidence).verdict == "better"


def is_not_worse(comparison: Comparison, margin: float) -> bool:
    """Whether a rule that allows this loss is met."""
    rules = PromotionSettings(not_worse_on={comparison.metric: margin}, better_on=())
    return judge(Evidence([comparison]), rules, CONFIDENCE).verdict == "better"


def keeps_floor(comparison: Comparison, floor: float) -> bool:
    """Whether a rule that asks for this much of the tuned model is met."""
    rules = PromotionSettings(floors={comparison.metric: floor}, better_on=())
    return judge(Evidence([comparison]), rules, CONFIDENCE).verdict == "better"


def right_share(rng: Rng, count: int, share: float) -> Pair:
    """Answers of which so many are right."""
    return Pair("exact_match", *(plain(rng.random(count) < share) for _ in range(2)), np.arange(count))


def rate(simulations: int, happens: Callable[[Rng, int], bool]) -> float:
    """How often something happens over so many simulations."""
    return float(np.mean([happens(np.random.default_rng(seed), seed) for seed in range(simulations)]))


def looks(rng: Rng, seed: int) -> bool:
    """Five candidates, none better, each on the same sealed examples: is any called better?"""
    ease = rng.beta(3, 3, 60)
    base = plain(ease + rng.normal(0, 0.15, 60))
    for opening in range(1, 6):
        confidence = spent_confidence(CONFIDENCE, opening)
        pair = Pair("rouge_l", base, plain(ease + rng.normal(0, 0.15, 60)), np.arange(60))
        if is_better(compared(pair, seed + opening, confidence), confidence):
            return True
    return False


def any_of_six(rng: Rng, seed: int) -> bool:
    """Six metrics, none changed: is any marked as changed, in either direction, after Holm's correction?"""
    told = {str(i): compared(likeness(rng, 60), seed + i).p_values["randomisation"] for i in range(6)}
    return min(holm(told).values()) <= 1 - CONFIDENCE


def table(simulations: int) -> list[str]:
    """The rows of the page's table."""
    stated = (1 - CONFIDENCE) / 2
    rows = ["| what is compared | what would be wrong | stated, at most | happened |", "|---|---|---|---|"]

    def add(what: str, wrong: str, limit: float, happened: float) -> None:
        rows.append(f"| {what} | {wrong} | {limit:.1%} | {happened:.2%} |")
        print(rows[-1], flush=True)

    for name, null in NULLS.items():
        add(name, "better", stated, rate(simulations, lambda rng, seed, n=null: is_better(compared(n(rng), seed))))
    lost = rate(simulations, lambda rng, seed: is_not_worse(compared(likeness(rng, 60, -0.05), seed), 0.05))
    add("lost exactly the margin, 60 examples", "not worse", stated, lost)
    for count, share in ((100, 0.95), (50, 0.95), (30, 0.9)):
        kept = rate(
            simulations, lambda rng, seed, n=count, p=share: keeps_floor(compared(right_share(rng, n, p), seed), p)
        )
        add(f"right {share:.0%} of the time, {count} examples", f"at least {share:.0%}", stated, kept)
    add("five openings of one sealed set", "better, once or more", 1 - CONFIDENCE, rate(simulations // 4, looks))
    add("six unchanged metrics", "any marked, either way", 1 - CONFIDENCE, rate(simulations // 4, any_of_six))
    return rows


def main() -> None:
    """Simulate, and put the table into the page."""
    simulations = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    text = "\n".join(
        [f"{simulations:,} simulations a row, a quarter as many in the last two.", "", *table(simulations)]
    )
    page = PAGE.read_text()
    before, after = page[: page.index(BEGIN) + len(BEGIN)], page[page.index(END) :]
    PAGE.write_text(f"{before}\n{text}\n{after}")


if __name__ == "__main__":
    main()
