"""Where personal data stands in the texts of one document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sonneteer.privacy.addresses import ADDRESSES
from sonneteer.privacy.countries import ANYWHERE, packs_of
from sonneteer.privacy.names import NAME_RULES
from sonneteer.privacy.phones import phones_in
from sonneteer.privacy.presidio import Presidio
from sonneteer.privacy.recogniser import bundled
from sonneteer.privacy.rules import EVERYWHERE, Profile, Rule, Rulebook, profile_of
from sonneteer.recipe.sections import PERSONAL_KINDS, PrivacySettings

PROPAGATED = frozenset({"names", "national_ids", "medical_ids", "secrets", "birth_dates", "addresses", "phones"})
"""What is found elsewhere in the document by its words alone, once something around it has told what it is."""
SHORTEST_PROPAGATED = 4
FEWEST_DIGITS = 7
"""Digits of the shortest phone number."""


class Found(NamedTuple):
    """One piece of personal data: where it stands in its text, and of which type it is."""

    start: int
    end: int
    kind: str


class Finder:
    """Finds what the settings do not keep. Earlier rules win where two claim the same words."""

    def __init__(self, settings: PrivacySettings) -> None:
        self._kinds = frozenset(PERSONAL_KINDS) - frozenset(settings.of_action("keep"))
        self._countries = tuple(country.upper() for country in settings.countries)
        self._exact = self._chosen((*EVERYWHERE, *packs_of(self._countries), *ANYWHERE))
        self._loose = self._chosen((*ADDRESSES, *_listed(settings.also), *NAME_RULES))
        self._recogniser = bundled() if "names" in self._kinds else None
        self._presidio = Presidio(settings.presidio) if settings.presidio else None
        self._allowed = frozenset(value.casefold() for value in settings.allow)

    def _chosen(self, rules: Iterable[Rule]) -> Rulebook:
        return Rulebook(rule for rule in rules if rule.kind in self._kinds)

    def find(self, texts: Sequence[str]) -> list[list[Found]]:
        """What stands in each text of one document, in the order of the text; nothing overlaps."""
        names = self._recogniser.names_in(texts) if self._recogniser else [[] for _ in texts]
        found = [self._find(*one) for one in zip(texts, names, strict=True)]
        known = _known(texts, found)
        if known:
            for text, ours in zip(texts, found, strict=True):
                _claim(ours, _again(text, known))
        return [sorted(ours) for ours in found]

    def _find(self, text: str, names: Iterable[tuple[int, int]]) -> list[Found]:
        profile = profile_of(text)
        found: list[Found] = []
        self._apply(self._exact, text, profile, found)
        if "phones" in self._kinds and profile.digits >= FEWEST_DIGITS:
            spans = phones_in(text, self._countries)
            _claim(found, (Found(*span, "phones") for span in spans if self._may(text, span)))
        self._apply(self._loose, text, profile, found)
        _claim(found, (Found(*span, "names") for span in names if self._may(text, span)))
        if self._presidio:
            opinions = (Found(*one) for one in self._presidio.find(text))
            _claim(found, (one for one in opinions if one.kind in self._kinds and self._may(text, one[:2])))
        return found

    def _apply(self, rules: Rulebook, text: str, profile: Profile, found: list[Found]) -> None:
        for rule in rules.worth_trying(profile):
            _claim(found, self._by_rule(rule, text, profile))

    def _may(self, text: str, span: tuple[int, int]) -> bool:
        return not self._is_allowed(text[slice(*span)])

    def _is_allowed(self, value: str) -> bool:
        return value.casefold() in self._allowed

    def _by_rule(self, rule: Rule, text: str, profile: Profile) -> Iterator[Found]:
        group = rule.pattern.groupindex.get("value", 0)
        for match in rule.matches(text, profile):
            value = match.group(group)
            if not self._is_allowed(value) and rule.holds(value):
                yield Found(*match.span(group), rule.kind)


def _listed(names: Iterable[str]) -> Iterator[Rule]:
    """A rule for the names that the recipe lists."""
    words = "|".join(map(re.escape, names))
    if words:
        yield Rule("names", re.compile(rf"(?i:(?<!\w)(?:{words})(?!\w))"))


def _claim(found: list[Found], more: Iterable[Found]) -> None:
    """Take what does not overlap with what is found already."""
    for one in more:
        for other in found:
            if one.start < other.end and other.start < one.end:
                break
        else:
            found.append(one)


def _known(texts: Sequence[str], found: Sequence[Sequence[Found]]) -> dict[str, str]:
    """Values that may stand elsewhere in the document without what gave them away, and the parts of names."""
    known: dict[str, str] = {}
    for text, ours in zip(texts, found, strict=True):
        for one in ours:
            if one.kind in PROPAGATED:
                value = text[one.start : one.end]
                for word in (value, *(re.findall(r"[\w'’-]+", value) if one.kind == "names" else ())):
                    if len(word) >= SHORTEST_PROPAGATED and not (one.kind == "names" and word[0].islower()):
                        known.setdefault(word, one.kind)
    return known


def _again(text: str, known: dict[str, str]) -> Iterator[Found]:
    """Where known values stand as whole words, the longest first."""
    for value in sorted(known, key=len, reverse=True):
        start = text.find(value)
        while start >= 0:
            end = start + len(value)
            is_whole = not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())
            if is_whole:
                yield Found(start, end, known[value])
            start = text.find(value, end)
