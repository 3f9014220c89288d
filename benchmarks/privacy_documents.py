"""Texts with personal data in known places, for `privacy.py`: from templates, and posts in which people are marked."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

SEED = 2026
LOCALES = [
    "en_NZ", "en_IE", "en_NG", "fi_FI", "no_NO", "fr_CA", "fr_BE", "es_CO", "sk_SK", "sl_SI", "et_EE",
    "lv_LV", "tw_GH", "lt_LT", "vi_VN", "es_CL", "pt_BR", "yo_NG", "uz_UZ", "de_CH", "fr_CH", "az_AZ",
]  # fmt: skip
ADDRESSES = ["en_US", "en_GB", "en_AU", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL"]
PHONES = ["en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL"]
TEXTS = Path(__file__).resolve().parent / "privacy_texts"
FRESH_LOCALES = ["is_IS", "en_PK", "en_TH", "fr_DZ", "ig_NG", "ha_NG", "sw", "de_AT", "nl_BE"]
SECOND_LOCALES = ["es_AR", "es_CA", "ru_RU", "uk_UA", "bg_BG", "mk_MK", "el_GR", "ja_JP"]
"""Names in other letters are written in Latin ones."""
SECOND_PHONES = ["en_US", "en_GB", "en_AU", "en_IN", "de_DE", "fr_FR", "it_IT", "pl_PL", "pt_BR"]
SLOT = re.compile(r"\{(\w+)\}")
LATIN = str.maketrans(
    dict(
        zip(
            "абвгґдежзиіїйклмнопрстуфхцчшщъыьэюяѓќљњјџѕєαβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋ",
            "a b v g g d e zh z i i yi y k l m n o p r s t u f kh ts ch sh shch a y - e yu ya gj kj lj nj j dzh dz ye "
            "a v g d e z i th i k l m n x o p r s s t y f ch ps o a e i i o y o i y".replace("-", "").split(" "),
            strict=True,
        )
    )
)


class Draws(NamedTuple):
    """Of which locales names and phones are, and what stands between the lines of an address."""

    names: Sequence[str]
    phones: Sequence[str] = tuple(PHONES)
    between_lines: str = ", "


SETS = {
    "development": Draws(LOCALES),
    "fresh": Draws(FRESH_LOCALES),
    "second": Draws(SECOND_LOCALES, SECOND_PHONES, "\n"),
}
"""The files in `privacy_texts`."""


class Document(NamedTuple):
    """A text, and what is personal in it: start, end, type."""

    text: str
    held: list[tuple[int, int, str]]


def generated(count: int, name: str) -> list[Document]:
    """Documents of one to three sentences."""
    rng = random.Random(SEED)
    lines = (TEXTS / f"{name}.txt").read_text("utf-8").splitlines()
    templates = [line for line in lines if line and not line.startswith("#")]
    makers = _makers(rng, SETS[name])
    return [_filled(" ".join(rng.sample(templates, rng.choice((1, 2, 3)))), makers) for _ in range(count)]


def _filled(template: str, makers: dict[str, Callable[[], str]]) -> Document:
    text, held, place = "", [], 0
    for match in SLOT.finditer(template):
        text += template[place : match.start()]
        value = makers[match.group(1)]()
        held.append((len(text), len(text) + len(value), match.group(1)))
        text += value
        place = match.end()
    return Document(text + template[place:], held)


def _makers(rng: random.Random, draws: Draws) -> dict[str, Callable[[], str]]:
    from faker import Faker

    def fakers(locales: Sequence[str]) -> list[Any]:
        made = [Faker(locale) for locale in locales]
        for one in made:
            one.seed_instance(rng.random())
        return made

    people, homes, lines, one = fakers(draws.names), fakers(ADDRESSES), fakers(draws.phones), fakers(["en_US"])[0]
    numbers = fakers(["en_US", "es_ES", "it_IT", "fr_FR", "pl_PL", "pt_BR"])
    banks = fakers(["de_DE", "en_GB", "fr_FR", "it_IT", "nl_NL", "es_ES"])

    def name() -> str:
        who = rng.choice(people)
        first, last = (
            getattr(who, f"{kind}_romanized_name", getattr(who, f"{kind}_name")) for kind in ("first", "last")
        )
        return _in_latin(rng.choice((f"{first()} {last()}", f"{first()} {last()}", first())))

    def number() -> str:
        who = rng.choice(numbers)
        return str(who.cpf() if hasattr(who, "cpf") and rng.random() < 0.9 else who.ssn())

    def record() -> str:
        return rng.choice((one.bothify("??-######").upper(), one.numerify("########"), one.bothify("###-##-?").upper()))

    def secret() -> str:
        forms = (one.bothify("????##??##??##??##??####"), "ghp_" + one.bothify("?#" * 18), one.bothify("??##??##??##!"))
        return rng.choice(forms)

    dates = ("%d %B %Y", "%B %d, %Y", "%d/%m/%Y", "%Y-%m-%d", "%d.%m.%Y")
    return {
        "names": name,
        "emails": lambda: str(rng.choice(people).free_email()),
        "phones": lambda: str(rng.choice(lines).phone_number()),
        "addresses": lambda: str(rng.choice(homes).address()).replace("\n", draws.between_lines),
        "birth_dates": lambda: one.date_of_birth().strftime(rng.choice(dates)),
        "national_ids": number,
        "medical_ids": record,
        "cards": lambda: str(one.credit_card_number()),
        "ibans": lambda: str(rng.choice(banks).iban()),
        "network_addresses": lambda: str(rng.choice((one.ipv4_public, one.ipv6))()),
        "secrets": secret,
    }


def _in_latin(name: str) -> str:
    """A Cyrillic or Greek name in Latin letters."""
    is_latin = name.isascii() or unicodedata.name(name[0]).startswith("LATIN")
    return name if is_latin else name.lower().translate(LATIN).title()


def posts(folder: Path) -> list[Document]:
    """WNUT 2017's development and test posts, with their people."""
    documents = []
    for file in ("emerging.dev.conll", "emerging.test.annotated"):
        for block in re.split(r"\n\s*\n", (folder / file).read_text("utf-8")):
            pairs = [line.split("\t")[:2] for line in block.splitlines() if "\t" in line]
            text, held = "", []
            for word, tag in pairs:
                start = len(text)
                text += word + " "
                if tag == "B-person" or (tag == "I-person" and not held):
                    held.append((start, start + len(word), "names"))
                elif tag == "I-person":
                    held[-1] = (held[-1][0], start + len(word), "names")
            documents.append(Document(text, held))
    return documents
