"""Check digits, against numbers that the offices publish as examples, and against every single wrong digit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sonneteer.privacy import checksums as check

PUBLISHED: list[tuple[Callable[[str], bool], str]] = [
    (check.is_card, "4111 1111 1111 1111"),
    (check.is_card, "378282246310005"),
    (check.is_iban, "DE89 3704 0044 0532 0130 00"),
    (check.is_iban, "GB29 NWBK 6016 1331 9268 19"),
    (check.is_german_tax_id, "86095742719"),
    (check.is_french_nir, "2 55 08 14 168 025 38"),
    (check.is_spanish_id, "12345678Z"),
    (check.is_spanish_id, "X1234567L"),
    (check.is_italian_tax_code, "RSSMRA85T10A562S"),
    (check.is_dutch_bsn, "111222333"),
    (check.is_belgian_number, "85.07.30-033.28"),
    (check.is_pesel, "44051401359"),
    (check.is_portuguese_nif, "501964843"),
    (check.is_cpf, "529.982.247-25"),
    (check.is_aadhaar, "2341 2341 2346"),
    (check.is_nhs_number, "943 476 5919"),
    (check.is_australian_tfn, "123 456 782"),
    (check.is_australian_medicare, "2123 45670 1"),
    (check.is_canadian_sin, "130 692 544"),
]


@pytest.mark.parametrize(("holds", "number"), PUBLISHED, ids=[f"{one.__name__} {text}" for one, text in PUBLISHED])
def test_a_published_number_is_right_and_becomes_wrong_when_any_digit_grows(
    holds: Callable[[str], bool], number: str
) -> None:
    assert holds(number)
    places = [place for place, character in enumerate(number) if character.isdigit()]
    grown = [f"{number[:place]}{(int(number[place]) + 1) % 10}{number[place + 1 :]}" for place in places]
    wrong = sum(not holds(other) for other in grown)
    assert wrong >= len(places) - (2 if holds is check.is_australian_medicare else 0)  # its last digit counts cards


def test_numbers_that_were_never_given_out_are_no_social_security_numbers() -> None:
    assert check.is_us_ssn("078-05-1120")
    assert not any(map(check.is_us_ssn, ("000-12-3456", "666-12-3456", "123-00-4567", "123-45-0000")))
