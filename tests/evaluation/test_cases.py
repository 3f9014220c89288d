"""A confirmed bad answer is asked again in every evaluation; one that comes back forbids the promotion."""

from __future__ import annotations

from pathlib import Path

import pytest

from sonneteer.chat import Options
from sonneteer.evaluation.cases import Cases, Mistake, add_cases, ask_cases, case_of, case_rule, is_fixed, read_cases
from sonneteer.records import Message
from sonneteer.store import Store
from sonneteer.testing import ScriptedChat

ASKED = (Message(role="system", text="Be brief."), Message(role="user", text="When do you open?"))
MISTAKE = Mistake(ASKED, "We never open.", "We open at nine.")


def test_a_case_is_kept_once_and_asked_with_its_instructions(tmp_path: Path) -> None:
    store = Store(tmp_path)
    case = case_of(MISTAKE)
    assert [add_cases(store, "demo", [case]) for _ in range(2)] == [1, 0]
    assert read_cases(store, "demo") == (case,)
    assert read_cases(store, "other") == ()
    chat = ScriptedChat(["We open at nine."])
    (outcome,) = ask_cases(chat, Cases((case,)), Options())
    assert outcome.is_fixed
    assert [message.role for message in chat.asked[0].messages] == ["system", "user"]
    assert "regression case" in store.audit_log()[-1].action


@pytest.mark.parametrize(
    ("must", "must_not", "answer", "fixed"),
    [
        ((), (), "we open at nine", True),
        ((), (), "we never open", False),
        (("NINE",), (), "at nine, friend", True),
        (("nine",), ("friend",), "at nine, friend", False),
    ],
)
def test_phrases_decide_where_there_are_any_and_likeness_elsewhere(
    must: tuple[str, ...], must_not: tuple[str, ...], answer: str, fixed: bool
) -> None:
    case = case_of(MISTAKE._replace(must=must, must_not=must_not))
    assert is_fixed(case, answer) is fixed


@pytest.mark.parametrize(
    ("before", "answer", "verdict", "words"),
    [
        (True, "We open at nine.", "better", "Fixed stays fixed: 1 of 1"),
        (True, "We never open.", "not better", "came back"),
        (False, "We never open.", "better", "1 never were"),
    ],
)
def test_only_what_was_fixed_before_can_break_the_rule(before: bool, answer: str, verdict: str, words: str) -> None:
    case = case_of(MISTAKE)
    cases = Cases((case,), frozenset([case.id] if before else []))
    (rule,) = case_rule(ask_cases(ScriptedChat([answer]), cases, Options()))
    assert rule.verdict == verdict
    assert words in rule.reason


def test_a_share_of_the_cases_may_come_back_where_the_recipe_allows_it() -> None:
    cases = [case_of(MISTAKE._replace(bad=f"We never open. {number}")) for number in range(10)]
    told = ask_cases(ScriptedChat(["We never open. 0"]), Cases(tuple(cases), frozenset([cases[0].id])), Options())
    assert [case_rule(told, share)[0].verdict for share in (0.05, 0.1)] == ["not better", "better"]


def test_without_cases_there_is_no_rule() -> None:
    assert case_rule(ask_cases(ScriptedChat(["a"]), Cases(), Options())) == []


def test_a_case_that_cannot_tell_good_from_bad_is_not_kept(tmp_path: Path) -> None:
    asked = (Message(role="user", text="Where is it?"),)
    alike = case_of(Mistake(asked, "It is here.", "It is here!"))
    blind = case_of(Mistake(asked, "Gone.", "Here.", must=("there",)))
    clear = case_of(Mistake(asked, "I cannot say.", "On its way."))
    assert add_cases(Store(tmp_path), "demo", [alike, blind, clear]) == 1
    assert read_cases(Store(tmp_path), "demo") == (clear,)
