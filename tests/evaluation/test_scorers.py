"""Scores agree with the reference implementations."""

from __future__ import annotations

import math
import string

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from sonneteer.chat import Likelihood
from sonneteer.errors import DataError
from sonneteer.evaluation import texts
from sonneteer.evaluation.ask import Reply
from sonneteer.evaluation.descriptions import calibration_error, classification
from sonneteer.evaluation.intervals import SHARE
from sonneteer.evaluation.scorers import SCORERS, of_answer, score
from sonneteer.evaluation.texts import chrf, exact_match, normalized_match, rouge_l
from sonneteer.records import Example, Message


def example(question: str = "q", answer: str = "a", **reference: object) -> Example:
    messages = (Message(role="user", text=question), Message(role="assistant", text=answer))
    return Example(messages=messages, reference=reference)


def value(metric: str, told: Example, answer: str, choices: tuple[float, ...] = ()) -> float:
    scored = SCORERS[metric].score(told, Reply(answer, "end", 1, None, choices))
    assert scored.weight == 1
    return scored.value


TEXT = st.text(alphabet=string.ascii_letters[:6] + " .,", max_size=40)
REFERENCE = RougeScorer(["rougeL", "rouge1", "rouge2"], use_stemmer=False)


@given(TEXT, TEXT)
def test_rouge_l_is_that_of_the_reference_package(reference: str, answer: str) -> None:
    told = REFERENCE.score(reference, answer)
    assert rouge_l(reference, answer) == pytest.approx(told["rougeL"].fmeasure)
    for n in (1, 2):
        if len(texts.words(reference)) >= n or len(texts.words(answer)) >= n:
            assert texts.rouge_n(reference, answer, n) == pytest.approx(told[f"rouge{n}"].fmeasure)


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
        values, weights = score(SCORERS[name], [example(), example()], replies)
        figures[name] = float(SCORERS[name].finish(np.average(values, weights=weights)))
    assert figures["perplexity"] == pytest.approx(math.exp(10 / 5))
    assert figures["bits_per_character"] == pytest.approx(10 / math.log(2) / 15)
    assert figures["token_accuracy"] == pytest.approx(3 / 5)


def test_bleu_and_chrf_are_those_of_sacrebleu() -> None:
    right, given = "the cat sat on the mat today", "the cat sat on a mat"
    assert texts.bleu(right, given) == pytest.approx(sacrebleu.sentence_bleu(given, [right]).score / 100)
    assert texts.chrf(right, given) == pytest.approx(sacrebleu.sentence_chrf(given, [right]).score / 100)


def test_json_answers_are_compared_field_by_field_and_only_where_json_is_right() -> None:
    right = example(answer='{"name": "Ada", "tags": ["a", "b"]}')
    assert value("json_fields", right, '```json\n{"tags": ["b", "a"], "name": "Ada"}\n```') == 1.0
    assert value("json_fields", right, '{"name": "Bob", "tags": ["a", "b"]}') == pytest.approx(4 / 6)
    assert value("json_fields", right, "Ada") == 0.0
    assert SCORERS["json_fields"].score(example(), Reply("{}", "end", 1, None)).weight == 0
    assert (value("json_valid", right, "[1, 2]"), value("json_valid", right, "[1, 2")) == (1.0, 0.0)


def test_numbers_and_citations_must_stand_in_what_was_given() -> None:
    given = example("The rent of 1,200.50 is due by § 556 BGB, see [3].")
    assert value("numbers_known", given, "You owe 1200.5 and 7.") == 0.5
    assert value("numbers_known", given, "You owe it.") == 1.0
    assert value("citations_known", given, "By §556 and [4].") == 0.5


def test_phrases_are_those_of_the_example() -> None:
    told = example(required=["See a doctor", "112"], forbidden=["guarantee"])
    assert value("required_phrases", told, "Please see a doctor.") == 0.5
    assert value("forbidden_phrases", told, "We guarantee it.") == 0.0
    assert SCORERS["required_phrases"].score(example(), Reply("", "end", 1, None)).weight == 0


def test_choices_are_weighed_by_likelihood_and_calibrated() -> None:
    told = example(answer="b", choices=["a", "b"])
    beliefs = (math.log(0.2), math.log(0.8))
    assert value("choice_accuracy", told, "", beliefs) == 1.0
    assert value("choice_brier", told, "", beliefs) == pytest.approx(0.2**2 + 0.2**2)
    replies = [Reply("", "end", 1, None, beliefs)] * 5
    four_of_five = [told] * 4 + [example(answer="a", choices=["a", "b"])]
    assert calibration_error(four_of_five, replies) == pytest.approx(0.0)
    assert calibration_error([example()], [Reply("", "end", 1, None)]) is None


def test_classes_are_counted_with_what_was_given_instead() -> None:
    truth = ["spam", "spam", "spam", "ham", "ham", "ham"]
    given = ["Spam.", "ham", "spam", "ham", "ham", "who knows"]
    replies = [Reply(text, "end", 1, None) for text in given]
    told = classification([example(answer=answer) for answer in truth], replies)
    assert told is not None
    assert told.accuracy == pytest.approx(4 / 6)
    assert told.macro_f1 == pytest.approx((2 * 2 / 5 + 2 * 2 / 6) / 2)
    assert told.confusion["ham"] == {"spam": 0, "ham": 2, "(something else)": 1}
    assert classification([example(answer=str(i)) for i in range(30)], [replies[0]] * 30) is None


def test_readable_refused_and_long_answers_are_told_apart() -> None:
    assert texts.reading_ease("The cat sat on the mat.") > texts.reading_ease("Notwithstanding obligations.")
    assert texts.is_refusal("I'm sorry, I cannot help.") == 1.0
    assert texts.is_refusal("You cannot park here.") == 0.0
    assert value("length_error", example(answer="abc"), "abc") == 0.0


def test_a_function_of_one_s_own_is_a_metric() -> None:
    polite = of_answer(lambda _, given: float("please" in given), says="How often it says please.")
    told = score(polite, [example(), example()], [Reply("please", "end", 1, None), Reply("", "end", 1, None)])
    assert told.values.mean() == 0.5


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, "yes", [1.0], 1.5])
def test_a_function_that_gives_no_number_between_its_ends_is_told_with_the_example(nonsense: object) -> None:
    wrong = of_answer(lambda right, given: nonsense, says="How polite it is.", bounds=SHARE)
    with pytest.raises(DataError, match=f"'How polite it is.' gave .* for example {example().id}.* from 0 to 1"):
        score(wrong, [example()], [Reply("please", "end", 1, None)])


def test_a_preference_is_right_where_the_better_answer_is_likelier() -> None:
    said = Reply("", "end", 0, Likelihood(-3.0, 4, 0, 9))
    one = SCORERS["preference_accuracy"].score
    example = Example(messages=(Message(role="user", text="Hm?"), Message(role="assistant", text="Yes.")))
    assert one(example, said._replace(rejected=-4.0)) == (1.0, 1.0)
    assert one(example, said._replace(rejected=-2.0)) == (0.0, 1.0)
    assert one(example, said) == (0.0, 0.0)
