"""Phone numbers: digits that are called so, that carry a country code, or that exist in a country's numbering plan."""

from __future__ import annotations

import re
from functools import lru_cache

from sonneteer.privacy.rules import either
from sonneteer.privacy.words import words

CANDIDATE = re.compile(
    r"(?<![\w.@/=#$€£-])(?:\+|\(\+?)?\(?\d(?:[\s()./\u00a0–-]{0,3}\d){6,15}"
    r"(?:\s?(?:x|ext\.?|#)\s?\d{1,6})?(?![\w@]|[.,-]\d)"
)
CUE = re.compile(
    rf"(?i)(?<![^\W_])(?:(?P<phone>{either(words('phone_cues'))}|reach\b[^.?!\n]{{0,20}}|"
    rf"(?:direct|desk|office|home|work|day|evening|emergency)(?: (?:line|number|contact))?(?= ?[:(]))|"
    rf"(?P<other>{either(words('number_cues'))}))(?![^\W_])|(?P<sign>[☎📞]|(?-i:(?<![\w.])[TMPF][:.]))"
)
"""What a number is called: a phone, or some other number."""
PUNCTUATION = r"[^\w;,|]*"
EXTENSION = re.compile(r"[x#e]")
LINKED = re.compile(rf"(?i)(?:{PUNCTUATION}\b(?:number|num|no|nr|nbr|code|id|is|was|of|ist|est|es))*{PUNCTUATION}")
BESIDE_MAIL = re.compile(r"\S@\S+\W{1,4}$")
AFTERWARDS = re.compile(
    rf"(?i)\s?[(,/|–-]\s?(?:{either(words('phone_kinds'))})(?![^\W_])|\s?[(,;/|–-]?\s?[^\s@]{{1,64}}@\w"
)
"""What follows a phone number: its kind, or a mail address."""
SENTENCE_END = re.compile(r"(?<=[^\W\d_]{4})\.\s(?=\S)|[?!\n]")
NEAR = 60
NORTH_AMERICAN = re.compile(
    r"(?:\+?1[ .-]?|001[ .-]?)?(?:\(\d{3}\) ?|\d{3}[.-])"
    r"\d{3}[.-]\d{4}(?:\s?(?:x|ext\.?)\s?\d+)?"
)
ABROAD = re.compile(r"\(?00 ?([1-9]\d{0,2})[\s./–-]")
"""What may be a country code, after two zeros."""
FEWEST_ABROAD = 9
DATE_OR_TIME = re.compile(
    r"(?:19|20)\d\d[-/. ]\d{1,2}[-/. ]\d{1,2}(?:\D.*)?|\d{1,2}[-/. ]\d{1,2}[-/. ](?:19|20)?\d\d|"
    r"(?:1\d|20)\d\d ?[-–/] ?(?:1\d|20)\d\d|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
)


def phones_in(text: str, countries: tuple[str, ...]) -> list[tuple[int, int]]:
    """Where phone numbers stand."""
    found = []
    for match in CANDIDATE.finditer(text):
        number = match.group()
        start = match.start() + (number.startswith("(") and ")" not in number)
        if _is_phone(text[start : match.end()], text[:start], text[match.end() :], countries):
            found.append((start, match.end()))
    return found


def _is_phone(number: str, before: str, after: str, countries: tuple[str, ...]) -> bool:
    if DATE_OR_TIME.fullmatch(number.strip()):
        return False
    count = sum(map(str.isdigit, EXTENSION.split(number)[0]))
    if number.startswith(("+", "(+")):
        return 7 <= count <= 17
    is_called = _is_called_phone(before[-NEAR:], after[:NEAR])
    if is_called is not None:
        return is_called and count <= 17
    if not re.search(r"[\s()./–-]", number):
        return number.startswith("0") and count >= 10 and exists(number, countries)
    if count >= FEWEST_ABROAD and (abroad := ABROAD.match(number)) and is_country_code(abroad.group(1)):
        return True
    if "US" in countries and NORTH_AMERICAN.fullmatch(number):
        return True
    return (number.startswith(("0", "(0")) or count >= 9) and exists(number, countries)


def _is_called_phone(before: str, after: str) -> bool | None:
    """Whether the sentence calls it a phone number, or directly something else; or neither."""
    sentence = SENTENCE_END.split(before)[-1]
    for cue in reversed(list(CUE.finditer(sentence))):
        between = sentence[cue.end() :]
        if cue.lastgroup == "other" and LINKED.fullmatch(between):
            return False
        if cue.lastgroup != "other" and not any(map(str.isdigit, between)):
            return True
    return True if BESIDE_MAIL.search(before) or AFTERWARDS.match(after) else None


@lru_cache(maxsize=4096)
def exists(number: str, countries: tuple[str, ...]) -> bool:
    """Whether a country's numbering plan has it."""
    import phonenumbers

    for country in countries:
        try:
            parsed = phonenumbers.parse(number, country)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            return True
    return False


def is_country_code(digits: str) -> bool:
    """Whether numbers of some country begin with these, after a plus."""
    import phonenumbers

    return digits.isdecimal() and int(digits) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE


def prefix_length(number: str) -> int:
    """Characters up to the end of the country code, or of the zeros that a number begins with."""
    places = [place for place, character in enumerate(number) if character.isdigit()]
    digits = "".join(number[place] for place in places)
    zeros = len(digits) - len(digits.lstrip("0"))
    is_abroad = number.lstrip("( ").startswith("+") or ABROAD.match(number)
    first = zeros if ABROAD.match(number) else 0
    code = next((length for length in (1, 2, 3) if is_country_code(digits[first : first + length])), 0)
    kept = first + code if is_abroad else zeros
    return places[kept - 1] + 1 if kept else 0
