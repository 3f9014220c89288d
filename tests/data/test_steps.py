"""Each step does what it says, says what it did, and can be switched off."""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonneteer.data.answers import contradictory, suspicious_labels
from sonneteer.data.boilerplate import without_boilerplate
from sonneteer.data.candidates import Candidate, passed_through
from sonneteer.data.contamination import KeptOut
from sonneteer.data.languages import language_of, only_languages, refuse_unknown
from sonneteer.data.normalise import no_markup, one_unicode, one_white_space
from sonneteer.data.rules import RULES, by_rules, limits_of, taken_apart
from sonneteer.data.steps import corpus_steps, row_steps
from sonneteer.data.values import RawRow
from sonneteer.errors import RecipeError
from sonneteer.recipe.sections import CleanSettings, DataSettings
from sonneteer.records import Example, Message

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
ENGLISH = "The parcel was delivered to the wrong house, and nobody of your team has called me back since then."
GERMAN = "Das Paket wurde an das falsche Haus geliefert, und seither hat mich niemand von Ihnen zurückgerufen."


def example(said: str, asked: str = "And?") -> Example:
    return Example(messages=(Message(role="user", text=asked), Message(role="assistant", text=said)))


def answer_after(step: Any, said: str) -> str:
    outcome = step(example(said))
    return outcome.example.answer.text if outcome.example else "LOST"


# Normalisation ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        (one_unicode, "cafe\u0301", "café"),
        (one_unicode, "a\u200bb\ufeff\u00adc\x07\r\nd", "abc\nd"),
        (one_unicode, "👩\u200d⚕️ می\u200cخواهم \u2028", "👩\u200d⚕️ می\u200cخواهم \u2028"),
        (one_white_space, "  a \n\n\n\n\n  b\t\n", "  a\n\n\n  b"),
        (one_white_space, " one line ", "one line"),
        (no_markup, "<p>Fish &amp; chips<br/>x < y <!-- no --></p>", "Fish & chips\nx < y \n"),
    ],
)
def test_texts_are_normalised(step: Any, before: str, after: str) -> None:
    assert answer_after(step, before) == after
    assert step(example(before)).said == ("" if before == after else step(example(before)).said)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_normalising_twice_is_normalising_once(text: str) -> None:
    for step in (one_unicode, one_white_space):
        once = step(example(text)).example
        assert once is None or step(once) == (once, "", "dropped")


def test_an_answer_of_nothing_but_markup_is_lost_and_said() -> None:
    assert no_markup(example("<div></div>"))[::2] == (None, "dropped")


# Languages, rules, boilerplate ------------------------------------------------------------------


def test_other_languages_are_dropped_and_what_is_too_short_to_tell_is_kept() -> None:
    assert (language_of(ENGLISH), language_of(GERMAN), language_of("Thanks!")) == ("en", "de", None)
    assert only_languages(example(ENGLISH), ("en",)).example is not None
    assert only_languages(example(GERMAN), ("en",)).said == "language: de, but data.clean.languages are en"
    assert only_languages(example("Ok."), ("de",)).example is not None


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(RecipeError, match="'english' is no language"):
        refuse_unknown(("english",))


BREAKS: dict[str, str] = {
    "fewest_words": "the end of it",
    "least_mean_word_length": "a b to c be d of e " * 10,
    "most_mean_word_length": " ".join(f"the{'e' * 20}{i} have{'x' * 19}{i} to of" for i in range(13)),
    "symbols_per_word": ENGLISH + "# # # # # # # # # " + ENGLISH + " " + GERMAN,
    "bullet_lines": "\n".join(f"- the point {i} and what we have of it" for i in range(12)),
    "ellipsis_lines": "\n".join(f"the point {i} and what we have of it ..." for i in range(12)).replace("... ", ""),
    "words_with_a_letter": " ".join(f"the {i}00 {i}12 and have" for i in range(20)),
    "fewest_stop_words": " ".join(f"word{i}" for i in range(60)),
    "repeated_lines": "\n".join(["the one and only line"] * 8 + [f"and another line to have {i}" for i in range(5)]),
    "top_2_gram": " ".join(f"dear customer the{i}" for i in range(30)) + " and have",
    "repeated_10_grams": " ".join([f"to have and be {' '.join(f'w{i}' for i in range(28))}"] * 2),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_text_that_breaks_a_rule_is_dropped_by_its_name(name: str) -> None:
    outcome = by_rules(example(BREAKS[name]), {name: RULES[name].gopher})
    assert outcome.example is None
    assert outcome.said.startswith(f"rule {name}: ")


def test_plain_prose_breaks_no_rule_of_gophers() -> None:
    prose = " ".join(
        f"On day {number} the {thing} had to wait for an answer of the {other}, and nobody could say why that was."
        for number, (thing, other) in enumerate(
            [("baker", "miller"), ("captain", "harbour"), ("painter", "model"), ("doctor", "patient")]
        )
    )
    limits = {name: limit for name, limit in limits_of("gopher", {}).items() if "gram" not in name}
    assert by_rules(example(prose), limits).example is not None


def test_rules_for_chat_keep_a_short_answer_that_gophers_drop() -> None:
    assert by_rules(example("Yes, we do."), limits_of("chat", {})).example is not None
    assert by_rules(example("Yes, we do."), limits_of("gopher", {})).example is None


def test_the_recipes_limits_replace_those_of_the_rules() -> None:
    assert limits_of("gopher", {"fewest_words": 3})["fewest_words"] == 3
    assert limits_of("off", {"fewest_words": 3}) == {"fewest_words": 3}
    with pytest.raises(RecipeError, match=r"limits\.fewest_word: no such rule\. Did you mean 'fewest_words'"):
        limits_of("off", {"fewest_word": 3})


@given(st.text())
def test_every_rule_measures_any_text(text: str) -> None:
    for rule in RULES.values():
        assert rule.measure(taken_apart(text)) >= 0


def test_boilerplate_is_flagged_or_dropped() -> None:
    answer = example("As an  AI language model, I have no feelings.")
    assert without_boilerplate(answer, (), "flag") == (answer, without_boilerplate(answer, (), "drop").said, "dropped")
    assert without_boilerplate(answer, (), "drop").example is None
    assert without_boilerplate(example("Hm. Kind regards, the team"), ("kind regards",), "drop").example is None


# Contamination ---------------------------------------------------------------------------------


def kept_out(*texts: str) -> KeptOut:
    found = KeptOut()
    found.add("eval.jsonl", [RawRow(number, {"asked": [{"text": text}]}) for number, text in enumerate(texts, 1)])
    return found


def test_an_example_that_holds_an_evaluation_text_is_contaminated() -> None:
    guard = kept_out(ENGLISH, "Name the capital of France.", "the first line of this short poem is")
    assert guard.without_contaminated(example(f"They wrote: {ENGLISH.upper()} Yes."), 0.5) == (
        None,
        "it holds 100% of the 13-word sequences of eval.jsonl:1",
        "contaminated",
    )
    asked = example("Paris.", asked="name the capital of France")
    assert guard.without_contaminated(asked, 0.5).said == "it asks what eval.jsonl:2 asks"
    assert guard.without_contaminated(example("Well, the first line of this short poem is: Oh!"), 0.5).example is None
    assert guard.without_contaminated(example(GERMAN), 0.5).example is not None


CHINESE = "包裹被送到了错误的地址，此后您的团队再也没有人给我回过电话。我应该怎么办？"
THAI = "พัสดุถูกส่งไปผิดบ้านและหลังจากนั้นก็ไม่มีใครในทีมของคุณโทรกลับหาฉันอีกเลย"


@pytest.mark.parametrize("text", [CHINESE, THAI])
def test_texts_without_spaces_are_kept_out_by_sequences_of_twice_as_many_letters(text: str) -> None:
    guard = kept_out(text)
    told = guard.without_contaminated(example(f"{ENGLISH} {text[1:-1]} {ENGLISH}"), 0.5)
    assert told.said.endswith("of the 26-letter sequences of eval.jsonl:1")
    assert guard.without_contaminated(example(text[:12] + text[-12:]), 0.1).example is not None
    assert guard.without_contaminated(example("Yes.", asked=text), 0.5).said == "it asks what eval.jsonl:1 asks"


def test_a_short_phrase_without_spaces_is_only_kept_out_as_a_question() -> None:
    guard = kept_out("以上答案都不正确")
    assert guard.without_contaminated(example("我认为以上答案都不正确。"), 0.5).example is not None
    assert guard.without_contaminated(example("对。", asked="以上答案都不正确？"), 0.5).example is None


def test_what_must_not_be_learned_is_the_same_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "kept_out").write_bytes(pickle.dumps((kept_out(ENGLISH), example(ENGLISH))))
    script = "import pickle, sys; k, e = pickle.load(open(sys.argv[1], 'rb')); print(k.without_contaminated(e, 1).fate)"
    told = [
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "kept_out")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        for seed in ("1", "2")
    ]
    assert {one.stdout for one in told} == {"contaminated\n"}


def test_a_few_words_in_common_are_no_contamination() -> None:
    guard = kept_out(f"{ENGLISH} {GERMAN} What would you answer them, and in which language would you do it?")
    assert guard.without_contaminated(example(ENGLISH), 0.5).example is not None
    assert guard.without_contaminated(example(ENGLISH), 0.1).example is None


# Answers ---------------------------------------------------------------------------------------


def pair(asked: str, said: str, row: int = 1) -> Candidate:
    return Candidate.of("x.jsonl", row, example(said, asked))


@pytest.mark.parametrize(
    ("one", "other", "is_contradiction"),
    [
        ("card_arrival", "card_lost", True),
        ("Yes, that is possible within the first two weeks.", "No, we do not do that for anybody.", True),
        ("You can return it within 14 days of delivery.", "You can return it within 30 days of delivery.", True),
        ("You can return it within 14 days of delivery.", "Returns are free for two weeks, with the label.", False),
        ("The parcel is on its way.", "the parcel is on its way", False),
    ],
)
def test_answers_that_cannot_both_be_right_are_flagged(one: str, other: str, is_contradiction: bool) -> None:
    found = contradictory([pair("May I?", one), pair("may  I", other), pair("Else?", "No.")])
    assert set(found) == ({0, 1} if is_contradiction else set())


def test_signs_alone_are_a_question_too() -> None:
    assert set(contradictory([pair("?! ", "yes"), pair(" ?!", "no"), pair("!?", "maybe")])) == {0, 1}


def test_planted_wrong_labels_are_found() -> None:
    path = SHARED / "customer_service" / "banking77" / "test.jsonl"
    if not path.exists():
        pytest.skip(f"{path.name} of banking77 is not beside the checkout")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rng = random.Random(0)
    labels = sorted({row["label"] for row in rows})
    planted = set(rng.sample(range(len(rows)), 150))
    said = [rng.choice(labels) if index in planted else row["label"] for index, row in enumerate(rows)]
    found = set(suspicious_labels([pair(row["text"], label) for row, label in zip(rows, said, strict=True)]))
    assert len(found & planted) / len(planted) > 0.9
    assert len(found & planted) / len(found) > 0.6


def test_answers_that_are_no_labels_are_not_judged() -> None:
    assert suspicious_labels([pair(f"q{i}", f"an answer of its own, number {i}") for i in range(50)]) == {}


# All of them -----------------------------------------------------------------------------------

OFF: dict[str, Any] = {
    "unicode": False,
    "white_space": False,
    "boilerplate": "off",
    "near_duplicates": "off",
    "contradictions": "off",
    "wrong_labels": "off",
}
ON: list[dict[str, Any]] = [
    {"unicode": True},
    {"white_space": True},
    {"markup": True},
    {"languages": ("en",)},
    {"rules": "chat"},
    {"limits": {"fewest_words": 3}},
    {"boilerplate": "flag"},
    {"near_duplicates": "drop"},
    {"contradictions": "drop"},
    {"wrong_labels": "flag"},
]


def steps_of(remove_duplicates: bool = False, **settings: Any) -> int:
    clean = CleanSettings.model_validate(OFF | settings)
    data = DataSettings(sources=(), clean=clean, remove_duplicates=remove_duplicates)
    return len(row_steps(clean, None)) + len(corpus_steps(data))


def test_everything_but_disliked_answers_can_be_switched_off() -> None:
    assert steps_of() == 1
    assert steps_of(remove_duplicates=True) == 2


@pytest.mark.parametrize("setting", ON, ids=lambda setting: next(iter(setting)))
def test_each_setting_switches_its_step_on(setting: dict[str, Any]) -> None:
    assert steps_of(**setting) == 2


def test_an_example_passes_all_steps_or_is_lost_at_the_first_that_loses_it() -> None:
    steps = row_steps(CleanSettings(rules="chat", languages=("de",)), kept_out(ENGLISH))
    passed = passed_through(steps, example(f"{GERMAN} \u200b"))
    assert passed.example is not None
    assert passed.remarks == ("Unicode was normalised", "white space was tidied")
    assert passed_through(steps, example(ENGLISH)).reason.startswith("language: en")
