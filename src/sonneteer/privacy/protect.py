"""What is done with the personal data of an example: masked, exchanged for pseudonyms, dropped, refused."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from sonneteer.privacy.find import Finder, Found
from sonneteer.privacy.pseudonyms import Pseudonyms, Roles, roles_in
from sonneteer.privacy.texts import texts_of, with_texts
from sonneteer.recipe.sections import PrivacySettings
from sonneteer.records import Example

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


DIGEST = "private-"
PERSON = "person"


class Protected(NamedTuple):
    """An example without what the settings take out, and how many pieces of each type it held."""

    example: Example
    counts: dict[str, int]


class Guard:
    """Does with personal data what the settings say."""

    def __init__(
        self, settings: PrivacySettings, digest_key: bytes | None = None, pseudonym_key: bytes | None = None
    ) -> None:
        """Without keys it takes new ones, which nobody else ever knows."""
        self._finder = Finder(settings)
        self._drops = frozenset(settings.of_action("drop"))
        self._fails = frozenset(settings.of_action("fail"))
        self._renamed = frozenset(settings.of_action("pseudonymise"))
        self._digest_key = digest_key or secrets.token_bytes(32)
        self._pseudonyms = Pseudonyms(pseudonym_key or secrets.token_bytes(32))

    def protect(self, example: Example) -> Protected:
        """The example as it may be learned. Where nothing is found it is the very same."""
        texts = list(texts_of(example))
        found = self._finder.find(texts)
        tags = {tag: self._tag(tag, value) for tag, value in example.tags.items()}
        counts = Counter(one.kind for ours in found for one in ours)
        if counts:
            roles = self._roles(texts, found)
            written = iter([self._rewritten(text, ours, roles) for text, ours in zip(texts, found, strict=True)])
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

    def _tag(self, tag: str, value: str) -> str:
        """Tags hold together what belongs together, so a person, or whatever is personal, becomes a digest of it."""
        is_personal = not is_digest(value) and (tag == PERSON or bool(self._finder.find([value])[0]))
        return digest_of(value, self._digest_key) if is_personal else value

    def _roles(self, texts: Sequence[str], found: Sequence[Sequence[Found]]) -> Roles:
        """Jane Roe in one turn makes Roe in another a last name, and `jane.roe` in an address the same person."""
        if not self._renamed:
            return {}
        pieces = ((text, one) for text, ours in zip(texts, found, strict=True) for one in ours)
        return roles_in(text[one.start : one.end] for text, one in pieces if one.kind == "names")

    def _rewritten(self, text: str, found: Iterable[Found], roles: Roles) -> str:
        pieces, place = [], 0
        for one in found:
            pieces += [text[place : one.start], self._instead(text[one.start : one.end], one.kind, roles)]
            place = one.end
        return "".join((*pieces, text[place:]))

    def _instead(self, value: str, kind: str, roles: Roles) -> str:
        return self._pseudonyms.of(kind, value, roles) if kind in self._renamed else MASKS[kind]


def digest_of(value: str, key: bytes) -> str:
    """What stands in a tag for a value that is personal: always the same for the same, and not to be guessed without
    the key."""
    return f"{DIGEST}{hashlib.blake2b(value.encode('utf-8', 'surrogatepass'), key=key, digest_size=8).hexdigest()}"


def is_digest(value: str) -> bool:
    """Whether such a digest stands here in a value's place."""
    return value.startswith(DIGEST)


def masked(text: str) -> str:
    """Words that go into a log, without the personal data that its form gives away."""
    found = _usual().find([text])[0]
    pieces, place = [], 0
    for one in found:
        pieces += [text[place : one.start], MASKS[one.kind]]
        place = one.end
    return "".join((*pieces, text[place:]))


@cache
def _usual() -> Finder:
    return Finder(PrivacySettings())
