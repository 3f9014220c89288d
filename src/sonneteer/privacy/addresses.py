"""Street addresses, in the forms of several languages, and whatever is called an address and holds a number."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from sonneteer.privacy.rules import Rule, called
from sonneteer.privacy.words import words

STREETS = words("english_streets")
STREET = "|".join(STREETS)
WORD = r"[A-ZÀ-ÖØ-ÞĀ-Ž][\w’'-]*\.?"
SMALL = (
    r"(?:de|del|de la|de los|de las|du|des|da|das|do|dos|di|della|dei|van|van de|van der|van den|von|von der|den|der|"
    r"la|le|les|d'|l'|aan de|aan den|aan het|bij|op de|am|an der|im|in der|ob der|sur|sous|lès|en|upon|on|under)"
)
TOWN = rf"(?:{SMALL} )?{WORD}(?:[ -](?:{SMALL} )?{WORD}){{0,3}}"
UNIT = r"(?:(?:(?:Level|Apt|Apartment|Suite|Ste|Unit|Flat|Studio|Room|Floor|Fl)\b\.? ?#?|#\.? ?)\w{1,5}\b)"
US_END = rf"(?:,?\s+{TOWN})?,?\s+[A-Z]{{2,3}},?\s+\d{{4,5}}(?:-\d{{4}})?(?!\d)"
UK_END = rf"(?:,?\s+{TOWN})?,?\s+[A-Z]{{1,2}}\d[A-Z\d]? ?\d[A-Z]{{2}}(?!\w)"
CA_END = rf"(?:,?\s+{TOWN})?,?\s+(?:[A-Z]{{2}}\s+)?[A-Z]\d[A-Z] ?\d[A-Z]\d(?!\w)"
CODE = (
    r",?\s+[A-Z]{2,3},?\s+\d{4,5}(?:-\d{4})?(?!\d)|,?\s+[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}(?!\w)|"
    r",?\s+(?:[A-Z]{2}\s+)?[A-Z]\d[A-Z] ?\d[A-Z]\d(?!\w)"
)
"""Codes of America and Australia, Britain, Canada."""
CODE_TOWN = (
    rf",?\s+(?:[A-Z]{{1,2}}-)?(?:\d{{5}}|\d{{4}} ?[A-Z]{{2}},?|\d{{2}}-\d{{3}}|\d{{4}}-\d{{3}}|\d{{4}})"
    rf"(?:,?\s+{TOWN})?(?:\s\(?[A-Z]{{2}}\)?(?!\w))?"
)
BRAZIL_END = rf"(?:,?\s+{TOWN})?,?\s+\d{{5}}-?\d{{3}},?\s+{TOWN}(?:\s?[/-]\s?[A-Z]{{2}}(?!\w))?"
TOWN_CODE = rf"(?:,?\s+{TOWN}){{1,2}}(?:,?\s+|-)\d{{5,6}}(?!\d)"
TOWN_END = rf"(?:,\s+{TOWN}){{1,2}}(?:,?\s+(?:[A-Z]{{2,3}},\s+)?\d{{4,6}}(?!\d))?"
COUNTRY = rf"(?:,\s+{TOWN})?"
END = (
    rf"(?:,?\s+{UNIT})?(?:{US_END}{COUNTRY}|{UK_END}{COUNTRY}|{CA_END}{COUNTRY}|{BRAZIL_END}|{TOWN_CODE}{COUNTRY}|"
    rf"{CODE_TOWN}{COUNTRY}|{TOWN_END})?"
)
NUMBER = r"(?:,? ?(?:n[º°.]?|nr\.?|No\.?)? ?\d{1,5}(?: ?[a-zA-Z](?!\w))?(?:[/-]\d{1,4})?(?!\d))"

ENDINGS = words("street_endings")
FRENCH = words("french_streets")
FIRST = words("romance_and_polish_streets")
APART = r"(?:(?<!\w)|(?!\w))"
"""Where a word ends, if it is one: `Via Roma` and `C/Mayor`, but not `Viaduct`."""


class Form(NamedTuple):
    """One way to write an address, and the words without one of which it cannot stand."""

    pattern: str
    words: Iterable[str] = ()
    signs: tuple[str, ...] = ()


FORMS: tuple[Form, ...] = (
    Form(
        rf"(?:(?:{UNIT},?\s+)?\d{{1,6}}(?:/\d{{1,4}})?[A-Za-z]?|{UNIT},?)\s+(?:[NSEW]\.?\s+)?(?:(?:{WORD}|\d{{1,3}}(?:st|nd|rd|th))\s+){{1,4}}?"
        rf"(?:{STREET})\b\.?{END}",
        STREETS,
    ),
    Form(rf"(?:P\.?\s?O\.?\s?|Post(?:al)? )Box\s?\d+{END}", signs=("box",)),
    Form(
        r"PSC \d+,? Box \d+,?\s+(?:APO|FPO|DPO) A[AEP] \d{5}|"
        r"(?:USS|USNS|USNV|USCGC|Unit) \w+(?: Box \d+)?,?\s+(?:APO|FPO|DPO) A[AEP] \d{5}",
        ("apo", "fpo", "dpo"),
    ),
    Form(
        rf"{WORD}(?:[ -](?:{SMALL} )?{WORD}){{0,2}}?(?i:{'|'.join(ENDINGS)}){NUMBER}{END}",
        signs=ENDINGS,
    ),
    Form(
        rf"\d{{1,5}}(?: ?(?:bis|ter|[A-Z]))?,? (?:(?i:{'|'.join(FRENCH)})){APART}(?: {SMALL})* ?{TOWN}{END}",
        [word.rstrip(".") for word in FRENCH],
    ),
    Form(
        rf"(?:{'|'.join(map(re.escape, FIRST))}){APART}(?: {SMALL})* ?{TOWN}{NUMBER}"
        rf"(?:,? (?:Piso|Apt\.?|Puerta|Appartamento|Interno|Piano) ?\w{{1,4}})* ?{END}",
        [word.rstrip("./") for word in FIRST],
    ),
)
FORMS += (
    Form(  # vitamin C. Take 200 mg: so one letter needs a town, too
        rf"[CR]\.(?: {SMALL})* ?{TOWN}{NUMBER}(?:,? (?:Piso|Apt\.?|Puerta) ?\w{{1,4}})* ?{END.removesuffix('?')}",
        signs=("c.", "r."),
    ),
    Form(
        rf"(?:(?:(?i:{'|'.join(FRENCH)})){APART}(?: {SMALL})* ?{TOWN}),? \d{{5}} {TOWN}",
        [word.rstrip(".") for word in FRENCH],
    ),
    Form(  # whatever the street is called, a town with its code tells it
        rf"(?:{UNIT},?\s+(?:\d{{1,6}}(?:/\d{{1,4}})?[A-Za-z]?\s+)?|\d{{1,6}}(?:/\d{{1,4}})?[A-Za-z]?\s+)"
        rf"(?:{WORD}(?:[ -]{WORD}){{1,3}})(?:,?\s+{UNIT})?(?:,\s+|\s*\n\s*){TOWN}(?:{CODE})",
        signs=(",", "\n"),
    ),
    Form(rf"(?:H\.? ?No\.? ?)?\d{{1,4}}(?:/\d{{1,4}})?,?\s+{TOWN},?\s+{TOWN}[ -]\d{{6}}(?!\d)", signs=("000000",)),
)
CUES = words("address_cues")
CALLED = (
    r"(?!\d{1,2}[.)]\s)(?=[^;\n]{0,60}\d)[A-ZÀ-Ž\d#][\w’'#/-]*\.?(?:,?[ ]+(?:[A-ZÀ-Ž\d#][\w’'#/-]*|"
    r"de|del|la|di|da|do|van|der|den|du|des|los|las)\.?){1,14}(?<![.,])"
)


def _holds_a_number(text: str) -> bool:
    return any(map(str.isdigit, text))


def _rule(form: Form) -> Rule:
    words = frozenset(word.lower() for word in form.words)
    return Rule("addresses", re.compile(rf"(?<![\w/.-])(?:{form.pattern})"), words=words, signs=form.signs, digits=1)


ADDRESSES: tuple[Rule, ...] = (
    *map(_rule, FORMS),
    called("addresses", CUES, CALLED, _holds_a_number, digits=1),
)
