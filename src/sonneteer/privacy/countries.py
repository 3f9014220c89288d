"""Country packs: numbers of citizens, taxpayers and patients, by form, check digits and what they are called."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from sonneteer.errors import RecipeError
from sonneteer.privacy import checksums as check
from sonneteer.privacy.rules import ID, Rule, called
from sonneteer.privacy.words import words

MEDICAL, NATIONAL = "medical_ids", "national_ids"


def _plain(kind: str, shapes: tuple[str, ...], pattern: str, holds: Callable[[str], bool] | None = None) -> Rule:
    """A number that its form gives away. It is no part of a longer one, and has one of these shapes in it."""
    rule = Rule(kind, re.compile(rf"(?<![\w.)-])(?<!\d )(?:{pattern})(?![\w-]| \d)"), shapes=shapes, digits=2)
    return rule if holds is None else rule._replace(holds=holds)


ANYWHERE: tuple[Rule, ...] = (
    called(MEDICAL, words("medical_cues"), ID, digits=2),
    called(NATIONAL, words("national_cues"), ID, digits=2),
)
"""Whatever is called a passport, a tax number or a patient's number, in whatever country."""

PACKS: dict[str, tuple[Rule, ...]] = {
    "US": (
        _plain(NATIONAL, ("000-00-0000",), r"\d{3}-\d{2}-\d{4}", check.is_us_ssn),
        called(NATIONAL, ("ssn", "social security"), r"\d{3}[ -]?\d{2}[ -]?\d{4}", check.is_us_ssn),
        called(MEDICAL, ("mbi", "medicare"), r"[1-9][A-Z][A-Z0-9]\d-?[A-Z][A-Z0-9]\d-?[A-Z]{2}\d{2}"),
    ),
    "GB": (
        _plain(
            NATIONAL,
            ("aa00", "aa 00"),
            r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]",
        ),
        _plain(MEDICAL, ("000 000 0000",), r"\d{3} \d{3} \d{4}", check.is_nhs_number),
    ),
    "CA": (_plain(NATIONAL, ("000 000", "000-000"), r"\d{3}[ -]\d{3}[ -]\d{3}", check.is_canadian_sin),),
    "AU": (
        _plain(NATIONAL, ("000 000 000",), r"\d{3} \d{3} \d{3}", check.is_australian_tfn),
        _plain(MEDICAL, ("0000 00000 0",), r"[2-6]\d{3} \d{5} \d", check.is_australian_medicare),
    ),
    "IN": (
        _plain(NATIONAL, ("0000 0000", "0000-0000"), r"[2-9]\d{3}[ -]\d{4}[ -]\d{4}", check.is_aadhaar),
        _plain(NATIONAL, ("aaaaa0000a",), r"[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]"),
    ),
    "DE": (
        _plain(NATIONAL, ("00 000", "0" * 11), r"[1-9]\d(?: ?\d{3}){3}", check.is_german_tax_id),
        _plain(NATIONAL, ("000000a", "000000 a"), r"\d{2} ?\d{6} ?[A-Z] ?\d{3}"),
        called(MEDICAL, ("versichertennummer", "versicherten nr", "kvnr"), r"[A-Z]\d{9}"),
    ),
    "FR": (
        _plain(
            NATIONAL,
            ("0 00", "0 0a", "0" * 13, "0a000000"),
            r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}",
            check.is_french_nir,
        ),
    ),
    "ES": (
        _plain(
            NATIONAL,
            ("0000000a", "0000000 a", "0000000-a"),
            r"(?:\d{8}|[XYZ]-?\d{7})[ -]?[A-HJ-NP-TV-Z]",
            check.is_spanish_id,
        ),
    ),
    "IT": (
        _plain(
            NATIONAL,
            ("aaaaaa00a00a000a",),
            r"[A-Z]{6}\d{2}[ABCDEHLMPRST]\d{2}[A-Z]\d{3}[A-Z]",
            check.is_italian_tax_code,
        ),
    ),
    "NL": (called(NATIONAL, ("bsn", "burgerservicenummer"), r"\d{9}|\d{3} \d{3} \d{3}", check.is_dutch_bsn),),
    "BE": (_plain(NATIONAL, ("00.00.00-000",), r"\d{2}\.\d{2}\.\d{2}-\d{3}[.-]\d{2}", check.is_belgian_number),),
    "PT": (called(NATIONAL, ("nif", "contribuinte"), r"\d{3} ?\d{3} ?\d{3}", check.is_portuguese_nif),),
    "PL": (_plain(NATIONAL, ("0" * 11,), r"\d{11}", check.is_pesel),),
    "BR": (
        _plain(NATIONAL, ("000.000.000-00",), r"\d{3}\.\d{3}\.\d{3}-\d{2}", check.is_cpf),
        called(NATIONAL, ("cpf",), r"\d{11}", check.is_cpf),
    ),
    "SE": (_plain(NATIONAL, ("000000-0000", "000000+0000"), r"\d{6}[-+]\d{4}", check.is_luhn),),
    "FI": (
        _plain(NATIONAL, ("000000-000", "000000+000", "000000a000"), r"[0-3]\d[01]\d{3}[-+A]\d{3}[0-9A-FHJ-NPR-Y]"),
    ),
    "DK": (_plain(NATIONAL, ("000000-0000",), r"[0-3]\d[01]\d{3}-\d{4}"),),
    "CH": (_plain(NATIONAL, ("000.0000.0000.00",), r"756\.\d{4}\.\d{4}\.\d{2}"),),
}
"""By two-letter code, what a country gives out."""


def packs_of(countries: tuple[str, ...]) -> tuple[Rule, ...]:
    """The rules of these countries. A country without a pack still has its phone numbers found."""
    return tuple(rule for country in countries for rule in PACKS.get(country, ()))


def refuse_unknown_countries(codes: Iterable[str]) -> None:
    """Raises RecipeError for codes of no country, for which nothing would ever be found."""
    from phonenumbers import SUPPORTED_REGIONS

    unknown = [code for code in codes if code.upper() not in SUPPORTED_REGIONS]
    if unknown:
        raise RecipeError(
            f"privacy.countries: {', '.join(unknown)} is no country's code of two letters, such as GB or DE."
        )
