"""Two samples, or several groups: whether they differ by more than chance, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sonneteer.monitoring.view import Figures

CHUNK = 1000
FAR_FROM_IT = 10
"""So many permutations that measure as much are enough to see that a comparison is unremarkable."""


def shift(one: Figures, other: Figures) -> float:
    """Largest difference between the two cumulative shares (Kolmogorov, Smirnov): 0 the same, 1 nothing in common."""
    from scipy.stats import ks_2samp

    return float(ks_2samp(one, other).statistic)


def p_of_shift(one: Figures, other: Figures) -> float:
    """Chance of a difference at least as large between samples of one source: exact for shares, else by KS."""
    from scipy.stats import fisher_exact, ks_2samp

    if set(np.unique(np.concatenate([one, other]))) <= {0.0, 1.0}:
        table = [[int(each.sum()), int(len(each) - each.sum())] for each in (one, other)]
        return float(fisher_exact(table).pvalue)
    return float(ks_2samp(one, other, method="asymp").pvalue)


def stability_index(profile: Figures, live: Figures, bins: int = 10) -> float:
    """Population stability index over the profile's deciles. For display only: its usual limits ignore the sizes."""
    edges = np.unique(np.quantile(profile, np.linspace(0, 1, bins + 1)[1:-1]))
    counts = [
        np.bincount(np.searchsorted(edges, each, side="left"), minlength=len(edges) + 1) for each in (profile, live)
    ]
    expected, found = ((count + 0.5) / (count.sum() + 0.5 * len(count)) for count in counts)
    return float(((found - expected) * np.log(found / expected)).sum())


def p_of_places(one: Figures, other: Figures, level: float, rng: np.random.Generator) -> float:
    """Whether two clouds of places differ: maximum mean discrepancy, by permutation. Fine enough for this level.

    Gretton et al., A Kernel Two-Sample Test, JMLR 2012. Gaussian kernel of the median distance.
    """
    both = np.concatenate([one, other])
    distances = np.maximum(((both**2).sum(1)[:, None] + (both**2).sum(1)[None] - 2 * both @ both.T), 0)
    middle = np.median(distances[np.triu_indices_from(distances, 1)])
    kernel = np.exp(-distances / max(float(middle), 1e-9)).astype(np.float32)
    signs = np.concatenate([np.full(len(one), 1 / len(one)), np.full(len(other), -1 / len(other))])

    def discrepancies(shuffled: Figures) -> Figures:
        narrow = shuffled.astype(np.float32)  # half the time, and far finer than chance
        found: Figures = ((narrow @ kernel) * narrow).sum(axis=1, dtype=np.float64)
        return found

    return _p_by_permutation(signs, discrepancies, level, rng)


def p_of_gap(groups: Sequence[Figures], rng: np.random.Generator, level: float) -> float:
    """Chance that the means of groups of one source lie at least as far apart, by permuting who belongs to which.

    The largest gap between groups is above zero even if nothing differs, so its interval must not decide.
    """
    sizes = np.array([len(group) for group in groups])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])

    def gaps(shuffled: Figures) -> Figures:
        means = np.add.reduceat(shuffled, starts, axis=1) / sizes
        found: Figures = means.max(axis=1) - means.min(axis=1)
        return found

    return _p_by_permutation(np.concatenate(groups), gaps, level, rng)


def _p_by_permutation(
    values: Figures, measure: Callable[[Figures], Figures], level: float, rng: np.random.Generator
) -> float:
    """Share of the permutations, the given order among them, that measure as much. Fine enough for this level."""
    seen, wanted = measure(values[None])[0], int(np.ceil(1 / level))
    drawn = as_large = 0
    while drawn < wanted:
        shuffled = rng.permuted(np.tile(values, (min(CHUNK, wanted - drawn), 1)), axis=1)
        as_large += int((measure(shuffled) >= seen * (1 - 1e-6)).sum())
        drawn += len(shuffled)
        if as_large >= FAR_FROM_IT:
            break
    return (as_large + 1) / (drawn + 1)


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """Corrected for their number, so that the chance of any false finding among them stays what one would have had."""
    adjusted, highest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = highest
    return adjusted
