"""Personal data is found by type, and what only looks like it is left alone."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonneteer.privacy import Finder
from sonneteer.privacy.addresses import ADDRESSES
from sonneteer.privacy.countries import ANYWHERE, PACKS
from sonneteer.privacy.names import NAME_RULES
from sonneteer.privacy.rules import EVERYWHERE, Rule, Rulebook, profile_of
from sonneteer.recipe.sections import PERSONAL_KINDS, PrivacySettings

COUNTRIES = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "BR")
ALL = Finder(PrivacySettings(names="mask", addresses="mask", countries=COUNTRIES))

HELD = [
    ("emails", "Write to «jane.roe+x@mail.example.co.uk», please."),
    ("emails", "It is «jane [at] example [dot] org»."),
    ("phones", "Call me on «415-555-2671»."),
    ("phones", "«+49 30 901820» is ours"),
    ("phones", "ring «020 7946 0018» tonight"),
    ("phones", "my number: phone «5551234»"),
    ("phones", "Direct line: «5551234»"),
    ("phones", "Callback on «353316765» after five"),
    ("phones", "I rang the daughter, who is at work until six, on «0118 496 03», no answer"),
    ("phones", "write to my colleague («001-495-967-4595x593»)."),
    ("phones", "is «00370 759888» Vilnius?"),
    ("phones", "T: «5551234»"),
    ("addresses", "«Hauptstraße nr. 5»"),
    ("addresses", "«PO Box12»"),
    ("cards", "Card «4111-1111-1111-1111», exp. 12/30"),
    ("ibans", "to «DE89 3704 0044 0532 0130 00» today"),
    ("ibans", "to «gb29nwbk60161331926819»"),
    ("national_ids", "SSN «078-05-1120»"),
    ("national_ids", "his NINO is «AB 12 34 56 C»"),
    ("national_ids", "DNI «12345678Z»"),
    ("national_ids", "codice fiscale: «RSSMRA85T10A562S»"),
    ("national_ids", "passport number «X1234567»"),
    ("medical_ids", "MRN: «48291-A»"),
    ("medical_ids", "NHS number «943 476 5919»"),
    ("medical_ids", "member ID is «ABC-12345»"),
    ("birth_dates", "born on «12 March 1980» in Leeds"),
    ("birth_dates", "DOB: «03/04/1975»"),
    ("birth_dates", "geboren am «12. März 1980»"),
    ("birth_dates", "née le «5 juin 1977»"),
    ("network_addresses", "from «8.8.8.8»."),
    ("network_addresses", "from «2001:4860:4860::8888» and"),
    ("network_addresses", "device «00:1B:44:11:3A:B7»"),
    ("secrets", "password: «hunter2»"),
    ("secrets", "Your password is: «Tr0ub4dor&3»."),
    ("secrets", "Password:\r\n«hunter2»"),
    ("secrets", "passwort lautet «geh+heim»"),
    ("secrets", "password «$ecret!word»"),
    ("secrets", "change my pin to «4831»"),
    ("secrets", "use «AKIAIOSFODNN7EXAMPLE» for it"),
    ("secrets", "https://x.example/a?page=2&token=«abcdef123»&x=1"),
    ("secrets", "postgres://bob:«s3cret»@db.example/x"),
    ("secrets", "api_key = «9f8e7d6c5b4a39281706»"),
    ("addresses", "I live at «12 High Street, Springfield, IL 62704»."),
    ("addresses", "Come to «221B Baker Street, London NW1 6XE»"),
    ("addresses", "«Hauptstraße 5, 10115 Berlin»"),
    ("addresses", "au «5 rue de la Paix, 75002 Paris»"),
    ("addresses", "«P.O. Box 1234»"),
    ("addresses", "Ship it\n«48 High Street\nFlat 3\nSpringfield\nIL 62704»\nby noon"),
    ("addresses", "Come to «Flat 37\nBennett Mall\nEast Harriet\nN8 8HN»"),
    ("addresses", "to «Calle de Camilo Burgos 19\nAlicante, 06632» today"),
    ("addresses", "to «12 Elm Grove, Leeds, Ireland» today"),
    ("addresses", "to «Rua Ramos, 71\nPampulha\n64377-256 Aparecida / BA» today"),
    ("names", "Dear Mr. «Smith»,"),
    ("names", "my name is «John van der Berg»."),
]

LEFT = [
    "Write to support@example.com.",
    "Order 4521889332 of 2024-05-12 at 10:30:15 costs 1,234,567 dollars.",
    "Card 4111 1111 1111 1112 fails its check.",
    "DE89 3704 0044 0532 0130 01 fails its check.",
    "The meeting is on 5 June 2024, the shop opened in 2020-2021.",
    "Open 192.168.1.1 in your browser; the loopback is 127.0.0.1.",
    "Follow these steps to reset your password successfully:\r\n\r\n1. Go to our page",
    "I forgot my password.\n\nAssistant: Then ask for another.",
    "Bad passwords are:\n- password\n- jordan23",
    "login --user {{user}} --password {{password}} --password-file {{path/to/password_file1}}",
    'password = os.environ["APP_PASSWORD"] and password=$PASSWORD or password: <password>',
    "make 1234 my pin, or my pin 0000, or pin 123456",
    "Your password is wrong, and the token has expired.",
    "The part 000-00-0000 is sold out.",
    "Version 1.2.3 has 12 000 000 users.",
    "Call us about order number 8831-220-45.",
    "We call the years (1895-1937) a time of change; call it 20230501.",
    "ISBN 0-201-63451-1 is a book.",
    "See https://example.com/a?page=2&sort=asc.",
    "The patient is 1200 metres away and his passport is lost.",
]


@pytest.mark.parametrize(("kind", "marked"), HELD)
def test_what_is_personal_is_found_exactly(kind: str, marked: str) -> None:
    text = marked.replace("«", "").replace("»", "")
    start = marked.index("«")
    [[found]] = ALL.find([text])
    assert found == (start, marked.index("»") - 1, kind)


@pytest.mark.parametrize("text", LEFT)
def test_what_only_looks_personal_is_left(text: str) -> None:
    assert ALL.find([text]) == [[]]


@pytest.mark.parametrize("kind", PERSONAL_KINDS)
def test_what_is_kept_is_not_looked_for(kind: str) -> None:
    text = next(marked for known, marked in HELD if known == kind).replace("«", "").replace("»", "")
    assert all(found.kind != kind for found in Finder(PrivacySettings.model_validate({kind: "keep"})).find([text])[0])


def test_what_a_cue_gave_away_is_found_without_it_elsewhere_in_the_document() -> None:
    texts = ["Dear Mr. Smith, your MRN is 48291-A.", "Smith's file 48291-A is here; the blacksmith is not."]
    assert [[texts[1][one.start : one.end] for one in found] for found in ALL.find(texts)[1:]] == [["Smith", "48291-A"]]


def test_allowed_values_stay_and_listed_names_are_always_found() -> None:
    finder = Finder(PrivacySettings(names="mask", allow=("Jane@Example.com",), also=("Quill",)))
    [found] = finder.find(["jane@example.com wrote to joe@example.com of quill"])
    assert [one.kind for one in found] == ["emails", "names"]


def test_the_countries_decide_whose_numbers_are_known() -> None:
    text = "Das ist 86095742719."
    assert Finder(PrivacySettings(countries=("de",))).find([text])[0]
    assert not Finder(PrivacySettings(countries=("US",))).find([text])[0]


@given(st.text(max_size=200), st.sampled_from(HELD))
def test_whatever_stands_around_it_spans_lie_in_the_text_and_never_overlap(noise: str, held: tuple[str, str]) -> None:
    text = noise + held[1] + noise
    ends = [0]
    for one in ALL.find([text])[0]:
        assert ends[-1] <= one.start < one.end <= len(text)
        ends.append(one.end)


RULES = [*EVERYWHERE, *(rule for pack in PACKS.values() for rule in pack), *ANYWHERE, *ADDRESSES, *NAME_RULES]
BOOK = Rulebook(RULES)
PIECES = [piece for _, marked in HELD for piece in (marked.replace("«", "").replace("»", ""), *marked.split())] + LEFT


@settings(max_examples=200, derandomize=True)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=12) | st.text("aA1٣-:.@# \n", max_size=20), max_size=12))
def test_rules_that_are_only_tried_where_they_may_match_find_what_all_rules_find_everywhere(pieces: list[str]) -> None:
    text = " ".join(pieces)
    profile = profile_of(text)
    tried = ((rule, match) for rule in BOOK.worth_trying(profile) for match in rule.matches(text, profile))
    everywhere = ((rule, match) for rule in RULES for match in rule.pattern.finditer(text))
    assert _held(tried) == _held(everywhere)


def _held(found: Iterable[tuple[Rule, re.Match[str]]]) -> list[tuple[Rule, tuple[int, int]]]:
    return [(rule, one.span()) for rule, one in found if rule.holds(one.group(rule.pattern.groupindex.get("value", 0)))]
