"""Measures of one answer against one reference, and of an answer alone; in 0..1 where nothing else is said."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from sacrebleu.metrics import BLEU, CHRF

NUMBER = re.compile(r"\d[\d.,]*\d|\d")
CITATION = re.compile(r"\[[^\[\]]{1,80}\]|§+\s*\d+\w*|\(\s*\d{4}\s*\)")
REFUSAL = re.compile(
    r"\b(i('m| am) (sorry|afraid|unable|not able)|i (can('|no)?t|won't|am not able to)|as an ai\b)",
    re.IGNORECASE,
)


def words(text: str) -> list[str]:
    """Its words in lower case, without punctuation."""
    return re.findall(r"[^\W_]+", text.lower())


def exact_match(reference: str, answer: str) -> float:
    """1 if the answer is the reference to the letter, white space at the ends aside."""
    return float(reference.strip() == answer.strip())


def normalized_match(reference: str, answer: str) -> float:
    """1 if the answers are the same words, whatever their case and punctuation."""
    return float(words(reference) == words(answer))


def word_f1(reference: str, answer: str) -> float:
    """F1 of the words, as SQuAD counts them (Rajpurkar 2016), articles kept."""
    return _f1(Counter(words(reference)), Counter(words(answer)))


def rouge_n(reference: str, answer: str, n: int) -> float:
    """ROUGE-N F1 (Lin 2004): shared runs of n words."""
    return _f1(_runs(words(reference), n), _runs(words(answer), n))


def rouge_l(reference: str, answer: str) -> float:
    """ROUGE-L F1 (Lin 2004): the longest common subsequence of words, as share of both texts."""
    expected, given = words(reference), words(answer)
    common = _common_subsequence(expected, given)
    return 2 * common / (len(expected) + len(given)) if common else 0.0


def chrf(reference: str, answer: str) -> float:
    """chrF (Popovic 2015): F2 of the character n-grams up to 6, by sacrebleu."""
    return float(_chrf().sentence_score(answer, [reference]).score) / 100


def bleu(reference: str, answer: str) -> float:
    """Sentence BLEU (Papineni 2002), smoothed, by sacrebleu."""
    return float(_bleu().sentence_score(answer, [reference]).score) / 100


@cache
def _chrf() -> CHRF:
    return CHRF()


@cache
def _bleu() -> BLEU:
    return BLEU(effective_order=True)


def is_json(answer: str) -> float:
    """1 if the answer is one JSON document."""
    return float(_parsed(answer) is not None)


def json_f1(reference: str, answer: str) -> float | None:
    """F1 of the fields with their values, at any depth; None where the reference is no JSON object or list."""
    expected = _parsed(reference)
    if not isinstance(expected, dict | list):
        return None
    given = _parsed(answer)
    return _f1(Counter(_leaves(expected)), Counter(_leaves(given))) if given is not None else 0.0


def numbers_known(source: str, answer: str) -> float | None:
    """Share of the answer's numbers that stand in the source; None where it has none."""
    found = [_number(one) for one in NUMBER.findall(answer)]
    known = {_number(one) for one in NUMBER.findall(source)}
    return sum(one in known for one in found) / len(found) if found else None


def citations_known(source: str, answer: str) -> float | None:
    """Share of the answer's citations ([3], § 12, (2019)) that stand in the source; None where it has none."""
    found = ["".join(one.split()) for one in CITATION.findall(answer)]
    known = {"".join(one.split()) for one in CITATION.findall(source)}
    return sum(one in known for one in found) / len(found) if found else None


def is_refusal(answer: str) -> float:
    """1 if the answer begins by refusing, in English."""
    return float(bool(REFUSAL.search(answer[:200])))


def reading_ease(answer: str) -> float:
    """Flesch's reading ease (1948): about 0 for statutes, 60 for plain English, 100 for children's books."""
    spoken = words(answer)
    if not spoken:
        return 0.0
    sentences = max(1, len(re.findall(r"[.!?]+(?:\s|$)", answer)))
    return 206.835 - 1.015 * len(spoken) / sentences - 84.6 * sum(map(_syllables, spoken)) / len(spoken)


def _syllables(word: str) -> int:
    groups = len(re.findall(r"[aeiouy]+", word))
    return max(1, groups - (word.endswith("e") and not word.endswith("le") and groups > 1))


def _number(text: str) -> str:
    """1,200.50 and 1200.5 are one number."""
    try:
        return repr(float(text.replace(",", "")))
    except ValueError:
        return text


def _runs(text: Sequence[str], n: int) -> Counter[Any]:
    return Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1))


def _f1(expected: Counter[Any], given: Counter[Any]) -> float:
    """Of two bags; two empty ones are alike."""
    if not expected and not given:
        return 1.0
    return 2 * (expected & given).total() / (expected.total() + given.total())


def _parsed(text: str) -> Any:
    """The JSON document that the text is, perhaps within a fence; None where it is none."""
    fenced = re.fullmatch(r"\s*```(?:json)?\s*(.*?)```\s*", text, re.DOTALL)
    try:
        return json.loads(fenced[1] if fenced else text, parse_constant=lambda _: math.nan)
    except (ValueError, RecursionError):
        return None


def _leaves(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, f"{path}.{key}")]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in _leaves(inner, f"{path}[]")]
    return [f"{path}={json.dumps(value)}"]


def _common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    lengths = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for j, other in enumerate(b, 1):
            diagonal, lengths[j] = lengths[j], diagonal + 1 if word == other else max(lengths[j], lengths[j - 1])
    return lengths[-1]
