"""Dates of birth exchanged for others of the same century and the same way of writing."""

from __future__ import annotations

import re

from sonneteer.privacy.permute import Permutation

NUMBER = re.compile(r"\d+")
NEWEST = 2024
"""Years after it are no years of birth yet; such a date keeps its year."""


def exchanged_date(permutation: Permutation, text: str, is_back: bool) -> str:
    """Another date. A month that is written as a word stays, and so do the days 29 to 31, which not every month has.

    Each number changes within its kind alone (months and early days, later days, years of a century), so that the
    result is a date, and the way back is clear.
    """
    matches = list(NUMBER.finditer(text))
    numbers, size = 0, 1
    for match in matches:
        low, count = _kind_of(match.group())
        numbers = numbers * count + int(match.group()) - low
        size *= count
    number = permutation.number(numbers, size, "birth_dates", is_back)
    for match in reversed(matches):
        low, count = _kind_of(match.group())
        number, place = divmod(number, count)
        text = text[: match.start()] + f"{low + place:0{len(match.group())}d}" + text[match.end() :]
    return text


def _kind_of(digits: str) -> tuple[int, int]:
    """The smallest number of its kind and how many there are."""
    value = int(digits)
    if len(digits) > 2 and 1900 <= value <= NEWEST:
        return (1900, 100) if value < 2000 else (2000, NEWEST - 2000 + 1)
    spans = ((1, 9),) if len(digits) == 1 else ((1, 12), (13, 28), (32, 99)) if len(digits) == 2 else ()
    for low, high in spans:
        if low <= value <= high:
            return low, high - low + 1
    return value, 1
