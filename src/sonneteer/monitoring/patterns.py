"""What people say many times alike: each row looks fine, and together they could teach the model anything.

Rows are compared with answers that are known: those of the training, and what the model itself said. A pattern is a
phrase, or a whole answer, that one group of rows (all of them, those of one key, or those of one burst) holds `TIMES`
as often as everything else does, by more than chance. As long as the rows are drawn like the known answers, whichever
key they come by and whenever, one look finds any pattern with a probability of at most `false_pattern_share`: Fisher's
exact test, times the phrases that rows and known answers together hold often enough, times the groups (Bonferroni).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sonneteer.monitoring.harvest import taught
from sonneteer.recipe.improvement import ImprovementSettings
from sonneteer.recipe.learning import Objective
from sonneteer.records import Exchange, Feedback
from sonneteer.words import LETTER, UNSPACED, WORD

TIMES = 10
LONGEST_PHRASE, LONGEST_RUN = 4, 8
"""In words, and in letters where words are not told apart. A longer one is found by its parts, and a whole answer as a
whole."""
WORDS_BETWEEN = re.compile(f"[^\\W{UNSPACED}]+")
BETWEEN_LETTERS = re.compile(f"(?<=[{UNSPACED}]) (?=[{UNSPACED}])")
WHOLE = "= "
"""Stands before a whole answer."""
PAUSE = timedelta(minutes=10)
"""A burst is what was said without such a pause."""

Places = NDArray[np.bool_]
"""Which of the rows."""


class Row(NamedTuple):
    """One exchange, what was said of it, and what that would teach."""

    exchange: Exchange
    said: tuple[Feedback, ...]
    """The oldest first."""
    texts: tuple[str, ...]


class Pattern(NamedTuple):
    """Rows with something in common, which a reviewer decides on as a whole."""

    words: str
    """What they have in common: in lower case, without punctuation."""
    is_whole: bool
    """Whether that is all that they say."""
    is_wanted: bool
    """Whether it would be learned to be said, or not to be said."""
    rows: tuple[Row, ...]
    elsewhere: float | None
    """Share of the other answers that hold it, of other rows and known ones together; None once it is decided on."""

    @property
    def feedback(self) -> list[Feedback]:
        """All that was said, the oldest first."""
        return sorted((said for row in self.rows for said in row.said), key=lambda said: said.created_at)

    @property
    def keys(self) -> set[str]:
        """Digests of the API keys that it came by; an empty one stands for none."""
        return {said.key for said in self.feedback}


class Sharing(NamedTuple):
    """A phrase that a group of rows shares."""

    phrase: str
    holders: Places
    elsewhere: float
    p_value: float


def patterns(
    exchanges: Mapping[str, Exchange],
    feedback: Iterable[Feedback],
    objective: Objective,
    known: Iterable[str],
    settings: ImprovementSettings,
) -> list[Pattern]:
    """The patterns that nobody has decided on yet, the largest first. What reviewers said themselves is in none.

    What was let through as a pattern once is known from then on.
    """
    by_exchange: dict[str, list[Feedback]] = defaultdict(list)
    texts = list(known)
    for said in feedback:
        if said.exchange_id not in exchanges or said.by == "reviewer" or said.opinion == "refused":
            continue
        if said.pattern:
            texts += [text for text, _ in taught(exchanges[said.exchange_id], said, objective)]
        else:
            by_exchange[said.exchange_id].append(said)
    found: list[Pattern] = []
    for is_wanted in (True, False):
        rows = [_row(exchanges[id], said, objective, is_wanted) for id, said in by_exchange.items()]
        found += _patterns([row for row in rows if row.texts], texts, is_wanted, settings)
    return sorted(found, key=lambda pattern: -len(pattern.rows))


def decided(exchanges: Mapping[str, Exchange], feedback: Iterable[Feedback], objective: Objective) -> list[Pattern]:
    """The patterns that were approved or refused as a whole, the newest first."""
    rows: dict[str, dict[str, list[Feedback]]] = defaultdict(lambda: defaultdict(list))
    for said in feedback:
        if said.pattern and said.opinion != "open" and said.exchange_id in exchanges:
            rows[said.pattern][said.exchange_id].append(said)
    found = []
    for words, by_exchange in rows.items():
        wanted, unwanted = (
            [_row(exchanges[id], said, objective, is_wanted) for id, said in by_exchange.items()]
            for is_wanted in (True, False)
        )
        is_wanted = any(row.texts for row in wanted)
        inside = tuple(row for row in (wanted if is_wanted else unwanted) if row.texts)
        found.append(Pattern(words, False, is_wanted, inside, None))
    return sorted((one for one in found if one.rows), key=lambda one: one.feedback[-1].created_at, reverse=True)


def _row(exchange: Exchange, said: Sequence[Feedback], objective: Objective, is_wanted: bool) -> Row:
    texts = {one.id: [text for text, good in taught(exchange, one, objective) if good == is_wanted] for one in said}
    return Row(
        exchange,
        tuple(one for one in said if texts[one.id]),
        tuple(text for one in said for text in texts[one.id]),
    )


def _patterns(
    rows: Sequence[Row], known: Sequence[str], is_wanted: bool, settings: ImprovementSettings
) -> Iterator[Pattern]:
    """The phrases that are shared, the surest and longest first; one whose rows are mostly in a pattern joins it."""
    level = settings.false_pattern_share / 2  # what is wanted, and what is not
    named: list[tuple[Sharing, Places]] = []
    taken = np.zeros(len(rows), dtype=bool)
    for sharing in _shared(rows, known, settings.fewest_alike, level):
        free = sharing.holders & ~taken
        home = max(named, key=lambda one: int((one[1] & sharing.holders).sum()), default=None)
        if home is not None and 2 * (home[1] & sharing.holders).sum() >= sharing.holders.sum():
            home[1][free] = True
        elif free.sum() >= settings.fewest_alike:
            named.append((sharing, free))
        else:
            continue
        taken |= free
    for sharing, members in named:
        inside = tuple(row for row, is_member in zip(rows, members, strict=True) if is_member)
        words = sharing.phrase.removeprefix(WHOLE)
        yield Pattern(words, sharing.phrase.startswith(WHOLE), is_wanted, inside, sharing.elsewhere)


def _shared(rows: Sequence[Row], known: Sequence[str], fewest: int, level: float) -> list[Sharing]:
    """The phrases that a group holds more often than chance and `TIMES` allow, the surest and longest first."""
    from scipy.stats import hypergeom

    holders: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        for phrase in set().union(*map(phrases, row.texts)):
            holders[phrase].append(place)
    total = Counter({phrase: len(places) for phrase, places in holders.items()})
    for text in known:
        total.update(phrases(text))
    tested = sum(count >= fewest for count in total.values())
    often = [phrase for phrase, places in holders.items() if len(places) >= fewest]
    groups, size = _groups(rows, fewest), len(rows) + len(known)
    inside = np.array([groups[:, holders[phrase]].sum(axis=1) for phrase in often]).reshape(len(often), len(groups))
    everywhere = np.array([total[phrase] for phrase in often])[:, None]
    of_group = groups.sum(axis=1)
    outside = (everywhere - inside) / np.maximum(size - of_group, 1)
    p_values = hypergeom.sf(inside - 1, size, everywhere, of_group) * tested * len(groups)
    is_found = (p_values <= level) & (inside >= fewest) & (inside >= TIMES * outside * of_group)
    p_values = np.where(is_found, p_values, np.inf)
    found = []
    for number in np.flatnonzero(is_found.any(axis=1)):
        best, has = int(p_values[number].argmin()), np.zeros(len(rows), dtype=bool)
        has[holders[often[number]]] = True
        found.append(Sharing(often[number], has, float(outside[number, best]), float(p_values[number, best])))
    return sorted(found, key=lambda one: (one.p_value, -len(one.phrase), one.phrase))


def phrases(text: str) -> set[str]:
    """A text's words, the phrases of up to `LONGEST_PHRASE` of them, its runs of letters, and the whole of it."""
    words = WORD.findall(text.lower())
    pieces = {WHOLE + " ".join(words), *_runs(words, 1, LONGEST_PHRASE)}
    if not LETTER.search(text):
        return pieces
    runs = WORDS_BETWEEN.split(text.lower())
    longer = {piece for run in runs for piece in _runs(LETTER.findall(run), LONGEST_PHRASE + 1, LONGEST_RUN)}
    return {BETWEEN_LETTERS.sub("", piece) for piece in pieces | longer}


def _runs(words: Sequence[str], shortest: int, longest: int) -> Iterator[str]:
    for length in range(shortest, longest + 1):
        for start in range(len(words) - length + 1):
            yield " ".join(words[start : start + length])


def _groups(rows: Sequence[Row], fewest: int) -> Places:
    """All rows, those of each key, and those of each burst, as far as they are enough: one line each."""
    members: dict[tuple[str, str | int], list[int]] = {("all", 0): list(range(len(rows)))}
    burst, last = 0, None
    for place in sorted(range(len(rows)), key=lambda place: rows[place].said[-1].created_at):
        moment = rows[place].said[-1].created_at
        burst += last is not None and moment - last > PAUSE
        last = moment
        members.setdefault(("burst", burst), []).append(place)
        for key in {said.key for said in rows[place].said if said.key}:
            members.setdefault(("key", key), []).append(place)
    enough = sorted({tuple(sorted(places)) for places in members.values() if len(places) >= fewest})
    groups = np.zeros((len(enough), len(rows)), dtype=bool)
    for number, places in enumerate(enough):
        groups[number, list(places)] = True
    return groups
