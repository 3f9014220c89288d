"""Scores agree with the reference implementations."""

from __future__ import annotations

import math
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from sonneteer.chat import Likelihood
from sonneteer.evaluation.ask import Reply
from sonneteer.evaluation.scorers import SCORERS, chrf, exact_match, normalized_match, rouge_l, score

TEXT = st.text(alphabet=string.ascii_letters[:6] + " .,", max_size=40)
REFERENCE = RougeScorer(["rougeL"], use_stemmer=False)


@given(TEXT, TEXT)
def test_rouge_l_is_that_of_the_reference_package(reference: str, answer: str) -> None:
    assert rouge_l(reference, answer) == pytest.approx(REFERENCE.score(reference, answer)["rougeL"].fmeasure)


@given(TEXT)
def test_a_perfect_answer_has_the_highest_scores(text: str) -> None:
    assert exact_match(text, text) == normalized_match(text, text) == 1.0
    if any(letter.isalpha() for letter in text):
        assert rouge_l(text, text) == 1.0
        assert chrf(text, text) == pytest.approx(1.0)


def test_matches_differ_in_what_they_overlook() -> None:
    assert exact_match("Yes, it is.", " Yes, it is. ") == 1.0
    assert exact_match("Yes, it is.", "yes it is") == 0.0
    assert normalized_match("Yes, it is.", "yes it is") == 1.0


def test_likelihood_scores_follow_their_definitions() -> None:
    replies = [
        Reply("", "end", 0, Likelihood(log_prob=-6.0, tokens=3, right_tokens=1, characters=10)),
        Reply("", "end", 0, Likelihood(log_prob=-4.0, tokens=2, right_tokens=2, characters=5)),
    ]
    figures = {}
    for name in ("perplexity", "bits_per_character", "token_accuracy"):
        values, weights = score(SCORERS[name], ["", ""], replies)
        figures[name] = float(SCORERS[name].finish(np.average(values, weights=weights)))
    assert figures["perplexity"] == pytest.approx(math.exp(10 / 5))
    assert figures["bits_per_character"] == pytest.approx(10 / math.log(2) / 15)
    assert figures["token_accuracy"] == pytest.approx(3 / 5)
