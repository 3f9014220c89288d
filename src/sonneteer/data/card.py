"""The data card: one HTML page, and the same as JSON, that says what a data set holds and what became of the rest.

Words of the sealed test split are counted and never shown. Examples of the other sides are shown with every word
masked that few examples have: it could be a name or a number. So are rows that were lost and are like nothing sealed.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sonneteer.data.bias import BESIDE, LIMITS, Bias, Group, bias_of
from sonneteer.data.counterfactual import SWAPPED
from sonneteer.data.freeze import read_ledger, read_split
from sonneteer.data.lost import texts_of
from sonneteer.data.topics import topics_of
from sonneteer.pages import templates_of
from sonneteer.records import KEPT, DatasetVersion, Example, Fate, LedgerEntry, SplitName
from sonneteer.store import Store, write_whole

FEWEST_WITH_A_WORD = 5
MASK = "▒▒"
SHOWN = 3
LONGEST_SHOWN = 600
LONGEST_LOST = 200
BARS = 12
WORD = re.compile(r"\w+")
FATES: dict[Fate, str] = {
    "train": "learned from",
    "validation": "watch the training, never learned from",
    "test": "sealed until the verdict",
    "replay": "general examples, mixed into the training against forgetting",
    "duplicate": "say exactly what another row says",
    "near_duplicate": "say nearly what another row says",
    "contaminated": "hold text of an evaluation set",
    "dropped": "broke a rule that the recipe sets",
    "broken": "could not be read",
    "too_long": "longer than the limit; nothing is ever cut",
    "nothing_to_learn": "hold no answer to learn",
    "disliked": "answers that people rejected",
    "private": "held personal data that may not stay",
}


class Card(NamedTuple):
    """Where the page and its figures lie."""

    page: Path
    figures: Path


def write_card(store: Store, dataset: DatasetVersion, target: Path, folder: Path) -> Card:
    """Write the page, and the figures beside it as JSON. `folder` is the recipe's, where its sources lie."""
    facts = facts_of(store, dataset, folder)
    page = templates_of("sonneteer.data").get_template("card.html.jinja").render(dataset=dataset, **facts)
    figures = target.with_suffix(".json")
    write_whole(target, page.encode())
    write_whole(figures, json.dumps(facts, ensure_ascii=False, indent=2, default=str).encode())
    return Card(target, figures)


def facts_of(store: Store, dataset: DatasetVersion, folder: Path) -> dict[str, Any]:
    """All that the card says, as plain values."""
    sides: list[SplitName] = []
    examples: list[Example] = []
    for side in KEPT:
        own = read_split(store, dataset, side)
        sides += [side] * len(own)
        examples += own
    ledger = read_ledger(store, dataset)
    words = Counter(word for example in examples for word in set(_words(example)))
    texts = [" ".join(message.text for message in example.messages if message.role == "user") for example in examples]
    sources = [example.tags.get("source", "") for example in examples]
    topics = topics_of(
        [text or example.answer.text for text, example in zip(texts, examples, strict=True)], sides, sources
    )
    return {
        "id": dataset.id,
        "name": dataset.name,
        "sources": [source.model_dump() for source in dataset.sources],
        "rows": dataset.rows,
        "fates": _fates(dataset, ledger, words, folder),
        "remarks": dict(Counter(_kind(said) for entry in ledger for said in entry.remarks).most_common(20)),
        "splits": _splits(dataset),
        "copies": dataset.copies,
        "lengths": _lengths(examples, sides),
        "tags": _tags(examples, sides, dataset),
        "topics": [topic._asdict() for topic in topics.topics],
        "map": [dot._asdict() for dot in topics.dots],
        "drift": [drift._asdict() for drift in topics.drift],
        "vocabulary": _vocabulary(examples, words),
        "redacted": {"rows": dataset.redacted_rows, "pieces": dataset.redacted},
        "bias": _bias(bias_of(examples)),
        "examples": _masked(examples, sides, words),
    }


def _fates(
    dataset: DatasetVersion, ledger: Sequence[LedgerEntry], words: Counter[str], folder: Path
) -> list[dict[str, Any]]:
    """Each fate with its meaning, its rows, its reasons, and the first places where one can look."""
    fates = []
    shared = _folder_of_all([source.path for source in dataset.sources])
    of_fate: dict[Fate, list[LedgerEntry]] = {fate: [] for fate in FATES}
    for entry in ledger:
        of_fate[entry.fate].append(entry)
    told = {fate: [entry for entry in entries if entry.reason][:SHOWN] for fate, entries in of_fate.items()}
    texts = texts_of(list(chain(*told.values())), dataset.sources, folder)
    for fate, says in FATES.items():
        if entries := of_fate[fate]:
            reasons = dict(Counter(_kind(entry.reason) for entry in entries if entry.reason).most_common(5))
            shown = [
                {
                    "place": shared.sub("", f"{one.source}:{one.row}: {one.reason}"),
                    "text": _mask(texts.get((one.source, one.row), ""), words, LONGEST_LOST),
                }
                for one in told[fate]
            ]
            share = len(entries) / dataset.rows
            fates.append(
                {"fate": fate, "says": says, "rows": len(entries), "share": share, "reasons": reasons, "shown": shown}
            )
    return fates


def _folder_of_all(paths: Sequence[str]) -> re.Pattern[str]:
    """Where it begins a path: the folder that all sources are in tells nothing of a row."""
    alike = os.path.commonprefix(paths)  # noqa: RUF071 (URLs, too; it is cut at a slash)
    return re.compile(rf"(?<!\S){re.escape(''.join(alike.rpartition('/')[:2]))}")


def _kind(said: str) -> str:
    """What stands before a reason's particulars."""
    return re.split(r":| \d| of | as ", said, maxsplit=1)[0]


def _splits(dataset: DatasetVersion) -> list[dict[str, Any]]:
    return [
        {
            "side": side,
            "examples": dataset.splits[side].examples,
            "tokens": dataset.token_counts.get(side, 0),
            "learned_tokens": dataset.learned_token_counts.get(side, 0),
            "fingerprint": dataset.splits[side].fingerprint,
        }
        for side in KEPT
    ]


def _lengths(examples: Sequence[Example], sides: Sequence[SplitName]) -> list[dict[str, Any]]:
    """Words of the answers: quantiles and a histogram for each side, with the same bars; the last is open."""
    lengths = []
    usual = np.quantile([len(example.answer.text.split()) for example in examples] or [0], 0.98)
    step = max(1, math.ceil(usual / (BARS - 1)))
    edges = [*range(0, BARS * step, step), 10**9]
    for side in KEPT:
        counts = np.array([len(e.answer.text.split()) for e, own in zip(examples, sides, strict=True) if own == side])
        if len(counts):
            low, middle, high, most = (int(value) for value in np.quantile(counts, (0.1, 0.5, 0.9, 1)))
            histogram = np.histogram(counts, edges)[0].tolist()
            bars = [
                {"words": f"{edges[place]}+", "share": count / len(counts)} for place, count in enumerate(histogram)
            ]
            lengths.append({"side": side, "p10": low, "p50": middle, "p90": high, "most": most, "bars": bars})
    return lengths


def _tags(examples: Sequence[Example], sides: Sequence[SplitName], dataset: DatasetVersion) -> list[dict[str, Any]]:
    """Each value of each tag with few values, by side; values that a side lacks are said."""
    counts = Counter(
        (tag, value, side)
        for example, side in zip(examples, sides, strict=True)
        for tag, value in example.tags.items()
        if tag in dataset.tag_counts
    )
    lines = []
    for tag, values in dataset.tag_counts.items():
        for value, total in values.items():
            by_side = {side: counts[tag, value, side] for side in KEPT if dataset.splits[side].examples}
            missing = [side for side, count in by_side.items() if not count and tag != SWAPPED]
            lines.append({"tag": tag, "value": value, "examples": total, "by_side": by_side, "missing": missing})
    return lines


def _vocabulary(examples: Sequence[Example], words: Counter[str]) -> dict[str, Any]:
    used = Counter(word for example in examples for word in _words(example))
    long_words = [word for word, count in words.most_common() if len(word) > 4 and count >= FEWEST_WITH_A_WORD]
    return {
        "words": used.total(),
        "different_words": len(used),
        "once_share": sum(count == 1 for count in used.values()) / max(1, len(used)),
        "frequent": long_words[:40],
    }


def _bias(found: Bias) -> dict[str, Any]:
    def plain(group: Group) -> dict[str, Any]:
        return group._asdict() | {"beside": [one._asdict() for one in group.beside]}

    return {
        "examples": found.examples,
        "words": {kind: sorted(listed) for kind, listed in BESIDE.items()},
        "everybody": plain(found.everybody),
        "axes": [axis._asdict() | {"groups": [plain(group) for group in axis.groups]} for axis in found.axes],
        "limits": LIMITS,
    }


def _masked(examples: Sequence[Example], sides: Sequence[SplitName], words: Counter[str]) -> list[dict[str, Any]]:
    shown = []
    for side in ("train", "validation"):
        own = sorted((e for e, held in zip(examples, sides, strict=True) if held == side), key=lambda e: e.id)
        for example in own[:SHOWN]:
            turns = [{"role": message.role, "text": _mask(message.text, words)} for message in example.messages]
            shown.append({"side": side, "turns": turns})
    return shown


def _mask(text: str, words: Counter[str], longest: int = LONGEST_SHOWN) -> str:
    """A text in which only words are left that several examples have, and no digits."""

    def masked(found: re.Match[str]) -> str:
        word = found.group()
        is_common = words[word.lower()] >= FEWEST_WITH_A_WORD and not any(map(str.isdigit, word))
        return word if is_common else MASK

    return WORD.sub(masked, text[:longest]) + (" …" if len(text) > longest else "")


def _words(example: Example) -> list[str]:
    return [word.lower() for message in example.messages for word in WORD.findall(message.text)]
