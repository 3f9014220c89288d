"""What is done with the personal data of an example: masked, dropped, refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from sonneteer.privacy.find import Finder, Found
from sonneteer.privacy.texts import texts_of, with_texts
from sonneteer.recipe.sections import PrivacySettings
from sonneteer.records import Example, fingerprint_of

MASKS = {
    "names": "[NAME]",
    "addresses": "[ADDRESS]",
    "emails": "[EMAIL]",
    "phones": "[PHONE]",
    "birth_dates": "[DATE OF BIRTH]",
    "national_ids": "[NATIONAL ID]",
    "medical_ids": "[MEDICAL ID]",
    "cards": "[CARD]",
    "ibans": "[IBAN]",
    "network_addresses": "[NETWORK ADDRESS]",
    "secrets": "[SECRET]",
}


class Protected(NamedTuple):
    """An example without what the settings take out, and how many pieces of each type it held."""

    example: Example
    counts: dict[str, int]


class Guard:
    """Does with personal data what the settings say."""

    def __init__(self, settings: PrivacySettings) -> None:
        self._finder = Finder(settings)
        self._drops = frozenset(settings.of_action("drop"))
        self._fails = frozenset(settings.of_action("fail"))

    def protect(self, example: Example) -> Protected:
        """The example as it may be learned. Where nothing is found it is the very same."""
        texts = list(texts_of(example))
        found = self._finder.find(texts)
        tags = {tag: self._tag(value) for tag, value in example.tags.items()}
        counts = Counter(one.kind for ours in found for one in ours)
        if counts:
            written = iter([_rewritten(text, ours) for text, ours in zip(texts, found, strict=True)])
            example = with_texts(example, lambda _: next(written))
        if tags != example.tags:
            example = example.model_copy(update={"tags": tags})
        return Protected(example, dict(sorted(counts.items())))

    def dropped(self, counts: Iterable[str]) -> list[str]:
        """The types for which a row is left out."""
        return sorted(self._drops.intersection(counts))

    def refused(self, counts: Iterable[str]) -> list[str]:
        """The types that stop the preparation."""
        return sorted(self._fails.intersection(counts))

    def _tag(self, value: str) -> str:
        """Tags hold together what belongs together, so a person's e-mail address becomes a digest of it."""
        return digest_of(value) if self._finder.find([value])[0] else value


def digest_of(value: str) -> str:
    """What stands in a tag for a value that is personal: always the same for the same."""
    return f"private-{fingerprint_of(value)}"


def _rewritten(text: str, found: Iterable[Found]) -> str:
    pieces, place = [], 0
    for one in found:
        pieces += [text[place : one.start], MASKS[one.kind]]
        place = one.end
    return "".join((*pieces, text[place:]))
