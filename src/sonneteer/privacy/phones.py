"""Phone numbers: digits that are called so, that carry a country code, or that exist in a country's numbering plan."""

from __future__ import annotations

import re
from functools import lru_cache

CANDIDATE = re.compile(
    r"(?<![\w.@/=#$€£-])(?:\+|\(\+?)?\(?\d(?:[\s()./\u00a0–-]{0,3}\d){6,15}"
    r"(?:\s?(?:x|ext\.?|#)\s?\d{1,6})?(?![\w@]|[.,-]\d)"
)
CUE = re.compile(
    r"(?i)(?:\b(?:phone|tel|telephone|call(?:ed|s|ing)?|mobile|cell|fax|whatsapp|r[aiu]ng|text|sms|dial|telefon\w*|handy\w*|mobil|rufnummer|"
    r"tél|téléphone|portable|teléfono|móvil|telefono|cellulare|telefoon\w*|mobiel|telefone|celular|telemóvel|"
    r"komórk\w*|contact number|reach\b[^.?!\n]{0,20}|numer|landline|hotline|pager|voicemail|phon(?:ed|es|ing)|rang|"
    r"dial(?:l?ed|ling|s)|texted|(?:my|his|her|our|your|their|whose|new|old|'s) number|"
    r"(?:direct|desk|office|home|work|day|evening|emergency)(?: (?:line|number|contact))?(?= ?[:(])|"
    r"get (?:me|him|her|us|them) (?:on|at))|☎|📞)"
    r"\W[^.?!\n\d]{0,25}$"
)
NORTH_AMERICAN = re.compile(
    r"(?:\+?1[ .-]?|001[ .-]?)?(?:\(\d{3}\) ?|\d{3}[.-])"
    r"\d{3}[.-]\d{4}(?:\s?(?:x|ext\.?)\s?\d+)?"
)
DATE_OR_TIME = re.compile(
    r"(?:19|20)\d\d[-/. ]\d{1,2}[-/. ]\d{1,2}(?:\D.*)?|\d{1,2}[-/. ]\d{1,2}[-/. ](?:19|20)?\d\d|"
    r"(?:19|20)\d\d ?[-–/] ?(?:19|20)\d\d"
)


def phones_in(text: str, countries: tuple[str, ...]) -> list[tuple[int, int]]:
    """Where phone numbers stand."""
    return [
        match.span() for match in CANDIDATE.finditer(text) if _is_phone(match.group(), text[: match.start()], countries)
    ]


def _is_phone(number: str, before: str, countries: tuple[str, ...]) -> bool:
    if DATE_OR_TIME.fullmatch(number.strip()):
        return False
    count = sum(map(str.isdigit, number))
    if number.startswith(("+", "(+")) and 7 <= count <= 17:
        return True
    if count <= 15 and CUE.search(before[-60:]):
        return True
    if number.startswith(("+", "(+")):
        return False
    if not re.search(r"[\s()./–-]", number):
        return number.startswith(("00", "0")) and count >= 10 and exists(number, countries)
    if "US" in countries and NORTH_AMERICAN.fullmatch(number):
        return True
    return (number.startswith(("0", "(0")) or count >= 9) and exists(number, countries)


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


def prefix_length(number: str) -> int:
    """Characters up to the end of the country code, or of the zeros that a number begins with."""
    places = [place for place, character in enumerate(number) if character.isdigit()]
    digits = "".join(number[place] for place in places)
    if number.lstrip("( ").startswith("+"):
        import phonenumbers

        codes = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
        kept = next((length for length in (1, 2, 3) if int(digits[:length]) in codes), 0)
    else:
        kept = len(digits) - len(digits.lstrip("0"))
    return places[kept - 1] + 1 if kept else 0
