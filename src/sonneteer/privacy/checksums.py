"""Check digits: what tells a number of a card, an account or a citizen from any other digits."""

from __future__ import annotations

import re
from collections.abc import Sequence

IBAN_LENGTHS = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE",), 16),
    **dict.fromkeys(("DK", "FI", "FO", "GL", "NL"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "XK"), 20),
    **dict.fromkeys(("CH", "CR", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "DE", "GB", "GE", "IE", "ME", "RS", "VA"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "TL"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("PT", "ST"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("FR", "GR", "IT", "MC", "SM"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "GT", "HU", "LB", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
}
"""Characters of an IBAN by country (ISO 13616 registry)."""


def digits_of(text: str) -> list[int]:
    """The digits, whatever stands between them."""
    return [int(character) for character in text if character in "0123456789"]


def weighted(digits: Sequence[int], weights: Sequence[int]) -> int:
    """Sum of products, as far as both go."""
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=False))


def is_luhn(text: str) -> bool:
    """Luhn's sum (ISO/IEC 7812-1): every second digit from the right is doubled."""
    total = 0
    for place, digit in enumerate(reversed(digits_of(text))):
        total += digit if place % 2 == 0 else sum(divmod(2 * digit, 10))
    return total % 10 == 0


def is_card(text: str) -> bool:
    """Length and first digit of a payment card, and Luhn."""
    digits = digits_of(text)
    if len(digits) == 15 and digits[:4] in ([1, 8, 0, 0], [2, 1, 3, 1]):  # JCB's older cards
        return is_luhn(text)
    shortest = 12 if digits[:2] in ([5, 0], [5, 6], [5, 7], [5, 8], [6, 3], [6, 7]) else 13  # Maestro
    return shortest <= len(digits) <= 19 and digits[0] in (2, 3, 4, 5, 6) and len(set(digits)) > 1 and is_luhn(text)


def is_iban(text: str) -> bool:
    """Length of its country, and remainder 1 modulo 97 (ISO 7064)."""
    plain = re.sub(r"[\s-]", "", text).upper()
    if IBAN_LENGTHS.get(plain[:2]) != len(plain):
        return False
    return int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4])) % 97 == 1


def is_german_tax_id(text: str) -> bool:
    """Eleven digits with the check digit of ISO 7064, MOD 11,10."""
    digits = digits_of(text)
    product = 10
    for digit in digits[:-1]:
        total = (digit + product) % 10 or 10
        product = 2 * total % 11
    return len(digits) == 11 and digits[0] != 0 and (11 - product) % 10 == digits[-1]


def is_french_nir(text: str) -> bool:
    """Number and key add up modulo 97. Corsica's 2A and 2B count as 19 and 18."""
    plain = re.sub(r"\s", "", text).upper().replace("2A", "19").replace("2B", "18")
    return plain.isdigit() and len(plain) == 15 and (97 - int(plain[:13]) % 97) == int(plain[13:])


def is_spanish_id(text: str) -> bool:
    """DNI or NIE: the letter follows from the number modulo 23."""
    plain = re.sub(r"[\s.-]", "", text).upper()
    number = str("XYZ".find(plain[0])) + plain[1:-1] if plain[0] in "XYZ" else plain[:-1]
    return number.isdigit() and "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == plain[-1]


def is_italian_tax_code(text: str) -> bool:
    """Codice fiscale: the last letter follows from the other fifteen characters."""
    odd = dict(zip("0123456789", (1, 0, 5, 7, 9, 13, 15, 17, 19, 21), strict=True))
    letters = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    odd |= dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", letters, strict=True))
    plain = text.upper()
    total = sum(odd[character] for character in plain[:15:2])
    total += sum(int(character) if character.isdigit() else ord(character) - 65 for character in plain[1:15:2])
    return chr(65 + total % 26) == plain[15]


def is_dutch_bsn(text: str) -> bool:
    """The eleven test, whose last weight is -1."""
    digits = digits_of(text)
    return len(digits) == 9 and any(digits) and weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def is_belgian_number(text: str) -> bool:
    """Rijksregisternummer: 97 less the rest modulo 97, with a 2 in front for those born since 2000."""
    plain = "".join(map(str, digits_of(text)))
    return len(plain) == 11 and int(plain[9:]) in (97 - int(plain[:9]) % 97, 97 - int("2" + plain[:9]) % 97)


def is_pesel(text: str) -> bool:
    """Poland's PESEL: a date, and weights modulo 10."""
    digits = digits_of(text)
    if len(digits) != 11 or not 1 <= (digits[2] * 10 + digits[3]) % 20 <= 12 or digits[4] * 10 + digits[5] > 31:
        return False
    return weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def is_portuguese_nif(text: str) -> bool:
    """Nine digits, the last of which follows modulo 11."""
    digits = digits_of(text)
    rest = weighted(digits[:8], (9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return len(digits) == 9 and digits[8] == (0 if rest < 2 else 11 - rest)


def is_cpf(text: str) -> bool:
    """Brazil's CPF: two check digits modulo 11."""
    digits = digits_of(text)
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    first = weighted(digits, range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(digits, range(11, 1, -1)) * 10 % 11 % 10
    return digits[9:] == [first, second]


def is_aadhaar(text: str) -> bool:
    """India's Aadhaar: Verhoeff's check over the dihedral group of order ten."""
    digits = digits_of(text)
    check = 0
    for place, digit in enumerate(reversed(digits)):
        for _ in range(place % 8):
            digit = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[digit]
        check = _dihedral(check, digit)
    return len(digits) == 12 and digits[0] > 1 and check == 0


def _dihedral(left: int, right: int) -> int:
    """Product in the symmetries of the pentagon: 0 to 4 turn, 5 to 9 mirror."""
    if left < 5:
        return (left + right) % 5 if right < 5 else 5 + (left + right - 5) % 5
    return 5 + (left - 5 - right) % 5 if right < 5 else (left - right) % 5


def is_nhs_number(text: str) -> bool:
    """United Kingdom's NHS number: ten digits modulo 11."""
    digits = digits_of(text)
    return len(digits) == 10 and (11 - weighted(digits[:9], range(10, 1, -1)) % 11) % 11 == digits[9]


def is_australian_tfn(text: str) -> bool:
    """Tax file number: weights modulo 11."""
    digits = digits_of(text)
    return len(digits) == 9 and weighted(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def is_australian_medicare(text: str) -> bool:
    """Medicare card: the ninth digit follows from the first eight."""
    digits = digits_of(text)
    return len(digits) in (10, 11) and digits[0] in range(2, 7) and _medicare_check(digits) == digits[8]


def _medicare_check(digits: Sequence[int]) -> int:
    return weighted(digits[:8], (1, 3, 7, 9, 1, 3, 7, 9)) % 10


def is_us_ssn(text: str) -> bool:
    """Areas 000 and 666, group 00 and serial 0000 were never given out; 9xx are taxpayers' numbers."""
    plain = "".join(map(str, digits_of(text)))
    return len(plain) == 9 and plain[:3] not in ("000", "666") and plain[3:5] != "00" and plain[5:] != "0000"


def is_canadian_sin(text: str) -> bool:
    """Nine digits that pass Luhn and do not begin with 0 or 8."""
    digits = digits_of(text)
    return len(digits) == 9 and digits[0] not in (0, 8) and is_luhn(text)
