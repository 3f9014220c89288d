"""Write `src/sonneteer/privacy/people.json.gz`: the names that pseudonyms are drawn from, by country and gender.

    python tools/write_people.py

Names are Faker's, those in Latin letters. A name of several countries belongs to the one where it is most usual, and
to the first of `LOCALES` among equals.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from faker import Faker

TARGET = Path(__file__).resolve().parents[1] / "src" / "sonneteer" / "privacy" / "people.json.gz"
LOCALES = (
    "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pt_PT", "sv_SE", "da_DK", "fi_FI", "no_NO", "pl_PL", "cs_CZ", "hu_HU",
    "ro_RO", "tr_TR", "hr_HR", "id_ID", "en_US", "en_IN", "zu_ZA", "ga_IE",
)  # fmt: skip
POOLS = {
    "last": ("last_names", "last_names_male", "last_names_female"),
    "female": ("first_names_female",),
    "male": ("first_names_male",),
}
NAME = re.compile(r"[A-ZÀ-ÖØ-ÞĀ-Ž][^\W\d_]{2,}")
FEWEST = 20
"""Smaller groups of names join the English ones: a pseudonym from a handful of names would be guessed."""


USUAL = {"last": 0.05, "female": 0.001, "male": 0.001}
"""Share of the most frequent name's weight from which a name is as usual as one of a list without weights."""
FEW = 100
"""In a list of first names without weights that is longer, each counts the less: it holds names from everywhere."""


class Usual(NamedTuple):
    """How usual a name is in a country."""

    share: float
    rank: int
    """Minus the place among the locales: greater is earlier."""

    @property
    def locale(self) -> str:
        """The country's locale."""
        return LOCALES[-self.rank]


def weights(provider: object, kind: str) -> Iterator[tuple[str, float]]:
    """Each single name of a kind, and how usual it is."""
    for pool in POOLS[kind]:
        names = getattr(provider, pool, None)
        if not names:
            continue
        weighted = (
            dict(names)
            if isinstance(names, Mapping)
            else dict.fromkeys(names, 1.0 if kind == "last" else FEW / len(names))
        )
        most = max(weighted.values()) if isinstance(names, Mapping) else 1.0
        for name, weight in weighted.items():
            if NAME.fullmatch(str(name)):
                yield str(name), weight / most / (USUAL[kind] if isinstance(names, Mapping) else 1.0)


def usual(kind: str) -> dict[str, Usual]:
    """For each name of a kind the country where it is most usual."""
    found: dict[str, Usual] = {}
    for rank, locale in enumerate(LOCALES):
        for provider in Faker(locale).factories[0].get_providers():
            most = 2.0 if locale == "en_US" else 1.0  # a census: who is usual there is surely of there
            for name, share in weights(provider, kind):
                found[name] = max(found.get(name, Usual(0, 0)), Usual(min(share, most), -rank))
    return found


def groups(kind: str, taken: Mapping[str, Usual]) -> dict[str, list[str]]:
    """The names of a kind by country."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for name, most in taken.items():
        found[most.locale[:2]].setdefault(name.casefold(), name)
    for country in [country for country, names in found.items() if len(names) < FEWEST]:
        found["en"] |= found.pop(country)
    seen: set[str] = set()
    listed = {}
    for country, names in sorted(found.items()):
        listed[f"{kind} {country}"] = sorted(name for folded, name in names.items() if folded not in seen)
        seen |= names.keys()
    return listed


def main() -> None:
    """Collect, sort into groups that have no name in common, and write."""
    female, male = usual("female"), usual("male")
    both = {name: max(female[name], male[name]) for name in female.keys() & male.keys()}
    for name in both:
        # A name in both lists that is far more usual in one is of that one.
        one, other = female[name].share, male[name].share
        (female if other > 10 * one else male if one > 10 * other else {}).pop(name, None)
    both = {name: most for name, most in both.items() if name in female and name in male}
    first = groups("either", both)
    folded = {name.casefold() for names in first.values() for name in names}
    for kind, taken in (("female", female), ("male", male)):
        own = {name: most for name, most in taken.items() if name.casefold() not in folded}
        first |= groups(kind, own)
        folded |= {name.casefold() for name in own}
    people = {"first": first, "last": groups("last", usual("last"))}
    packed = json.dumps(people, ensure_ascii=False, separators=(",", ":")).encode()
    TARGET.write_bytes(gzip.compress(packed, mtime=0))
    counts = {kind: {name: len(names) for name, names in listed.items()} for kind, listed in people.items()}
    print(json.dumps(counts, indent=1), f"{TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
