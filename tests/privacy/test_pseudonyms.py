"""Pseudonyms are consistent, keep the form, and lead back to the value by the key alone."""

from __future__ import annotations

import pickle
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonneteer.privacy import Finder, Guard, Pseudonyms
from sonneteer.privacy.checksums import is_card, is_iban
from sonneteer.privacy.people import people
from sonneteer.privacy.permute import Permutation
from sonneteer.recipe.sections import PERSONAL_KINDS, PrivacySettings
from sonneteer.records import Example, Message
from tests.privacy.test_find import HELD

OURS = Pseudonyms(b"k" * 32)


def held() -> list[tuple[str, str]]:
    """A value of each type and form."""
    return [(kind, text[text.index("«") + 1 : text.index("»")]) for kind, text in HELD]


@pytest.mark.parametrize(("kind", "value"), held())
def test_a_pseudonym_differs_from_its_value_and_leads_back_to_it(kind: str, value: str) -> None:
    pseudonym = OURS.of(kind, value)
    assert pseudonym != value
    assert OURS.original(kind, pseudonym) == value
    assert OURS.of(kind, value) == pseudonym
    assert Pseudonyms(b"x" * 32).of(kind, value) != pseudonym


@pytest.mark.parametrize(("kind", "marked"), HELD)
def test_a_pseudonym_is_found_where_the_value_was(kind: str, marked: str) -> None:
    before, rest = marked.split("«")
    value, after = rest.split("»")
    text = before + OURS.of(kind, value) + after
    finder = Finder(PrivacySettings(names="mask", addresses="mask"))
    assert any(one.kind == kind for one in finder.find([text])[0])


@given(st.binary(min_size=1, max_size=40), st.integers(1, 400))
@settings(max_examples=25, deadline=None)
def test_numbers_are_exchanged_one_to_one(key: bytes, size: int) -> None:
    permutation = Permutation(key)
    exchanged = [permutation.number(number, size, "x") for number in range(size)]
    assert sorted(exchanged) == list(range(size))
    assert [permutation.number(number, size, "x", is_back=True) for number in exchanged] == list(range(size))


@given(st.sampled_from(PERSONAL_KINDS), st.text(string.ascii_letters + string.digits + " .-", min_size=1, max_size=24))
@settings(max_examples=100, deadline=None)
def test_whatever_is_taken_for_personal_data_leads_back(kind: str, value: str) -> None:
    assert OURS.original(kind, OURS.of(kind, value)) == value


def test_cards_and_accounts_keep_their_check_digits_and_their_country() -> None:
    assert is_card(OURS.of("cards", "4111 1111 1111 1111"))
    account = OURS.of("ibans", "DE89 3704 0044 0532 0130 00")
    assert is_iban(account)
    assert account.startswith("DE")


def test_a_name_gets_one_of_its_country_and_gender() -> None:
    groups = {name: group for group, names in people()["first"].items() for name in names}
    for name in ("Jane", "Hans", "Giuseppe", "Bence"):
        assert groups[OURS.of("names", name)] == groups[name]


def test_no_two_names_become_the_same() -> None:
    names = [name for listed in people()["first"].values() for name in listed] + ["Xqrth", "Brontle", "Wufo"]
    assert len({OURS.of("names", name) for name in names}) == len(set(names))


def test_a_person_is_the_same_in_full_in_part_in_capitals_and_in_an_address() -> None:
    guard = Guard(PrivacySettings(names="pseudonymise", emails="pseudonymise"), pseudonym_key=b"k" * 32)
    messages = (
        Message(role="user", text="Dear Ms. Jane Taylor, thanks. Is jane.taylor@example.org yours, Ms. Taylor?"),
        Message(role="assistant", text="Yes. Signed, JANE TAYLOR"),
    )
    said = guard.protect(Example(messages=messages)).example
    first, last = OURS.of("names", "Jane Taylor").split()
    assert said.messages[0].text.startswith(f"Dear Ms. {first} {last}, thanks. Is {first.lower()}.{last.lower()}@")
    assert said.messages[0].text.endswith(f".example yours, Ms. {last}?")
    assert said.messages[1].text == f"Yes. Signed, {first.upper()} {last.upper()}"


def test_without_a_key_the_pseudonyms_are_consistent_and_nobody_elses() -> None:
    example = Example(messages=(Message(role="assistant", text="Dear Mr. Smith, a Mr. Smith called."),))
    one, other = (Guard(PrivacySettings(names="pseudonymise")).protect(example).example.answer.text for _ in range(2))
    words = one.replace(",", "").split()
    assert words[2] == words[5] != "Smith"
    assert one != other or words[2] != "Smith"


@pytest.mark.parametrize("date", ["12 March 1980", "31/12/1999", "1/2/85", "2003-02-29", "12.05.1968"])
def test_a_date_of_birth_becomes_one_of_its_century(date: str) -> None:
    digits = OURS.of("birth_dates", date)
    assert len(digits) == len(date)
    for century in ("19", "20"):
        assert (century in digits) >= (f"{century}" in date and len(date) > 6)


def test_a_guard_that_travels_to_another_process_gives_the_same_pseudonyms() -> None:
    guard = Guard(PrivacySettings(names="pseudonymise", phones="pseudonymise"))
    text = "Dear Mr. Smith, call Jane Roe on 415-555-2671."
    example = Example(messages=(Message(role="assistant", text=text),))
    here = guard.protect(example)
    assert pickle.loads(pickle.dumps(guard)).protect(example) == here
    assert here.example.answer.text != text
