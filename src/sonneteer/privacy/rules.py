"""What a rule is, and those that hold everywhere: e-mail, cards, accounts, networks, secrets, dates of birth."""

from __future__ import annotations

import ipaddress
import re
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from sonneteer.privacy.checksums import is_card, is_iban
from sonneteer.privacy.words import words

ROLES = frozenset(words("roles"))
"""Mailboxes of a role, not of a person."""

LINKS = "is|was|are|number|num|no|nr|nº|n°|code|id|ist|lautet|est|es|è|é|jest|to|am|on|of|for"
LINK = rf"(?:[\s,]*(?:\b(?:{LINKS})\b|[#:=._-]+)){{0,4}}[\s\"'“„«(\[*`]*"
"""What may stand between a cue and the value it announces."""
LINK_IN_LINE = rf"(?:[^\S\n,]*,?(?:\b(?:{LINKS})\b|[#:=_-]+\r?\n?|\.(?!\s))){{0,4}}(?:[^\S\n]|[\"'“„«(\[*`])*"
"""The same within a sentence and a line; after a colon the value may stand on the next one."""


def _anything(_: str) -> bool:
    return True


class Rule(NamedTuple):
    """One way to find one type of personal data: a pattern, a check of what it found, and when to try it at all."""

    kind: str
    pattern: re.Pattern[str]
    """The group `value`, or else all of it, is what is found."""
    holds: Callable[[str], bool] = _anything
    words: frozenset[str] = frozenset()
    """Lower-case words without one of which the pattern cannot match."""
    starts: frozenset[str] = frozenset()
    """Lower-case words with one of which whatever it matches begins."""
    signs: tuple[str, ...] = ()
    """Pieces without one of which it cannot match. Lower case, and 0 stands for any digit."""
    shapes: tuple[str, ...] = ()
    """The same, where a stands for any letter, too."""
    digits: int = 0
    """Digits that stand near each other in what it matches."""
    longest: int = 0
    """Letters and digits in a row in what it matches."""

    def may_match(self, profile: Profile) -> bool:
        """Whether it is worth trying on a text that has one of the words, if it needs any: nearly always it is not."""
        if self.digits > profile.digits or self.longest > profile.longest:
            return False
        if self.signs and not any(map(profile.lowered.__contains__, self.signs)):
            return False
        return not self.shapes or any(map(profile.shape.__contains__, self.shapes))

    def matches(self, text: str, profile: Profile) -> Iterator[re.Match[str]]:
        """Where it stands, one after the other."""
        if not self.starts or len(profile.lowered) != len(text):
            yield from self.pattern.finditer(text)
            return
        end = 0
        for place in profile.places(self.starts):
            if place >= end and (match := self.pattern.match(text, place)):
                end = match.end()
                yield match


class Profile(NamedTuple):
    """What is quickly known of a text."""

    lowered: str
    """The text in lower case, with 0 for every digit."""
    shape: str
    """The same with a for every plain letter."""
    words: frozenset[str]
    digits: int
    """The longest stretch of digits, with at most two signs or blanks between them."""
    longest: int
    """The longest word."""

    def places(self, words: frozenset[str]) -> list[int]:
        """Where these words stand, in the order of the text."""
        found = []
        for word in words & self.words:
            place = self.lowered.find(word)
            while place >= 0:
                found.append(place)
                place = self.lowered.find(word, place + 1)
        return sorted(found)


class Rulebook:
    """Rules by the words, signs or shapes without which they cannot match, so that most are never looked at."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = list(rules)
        self._by_word: dict[str, list[int]] = {}
        self._by_sign: dict[str, list[int]] = {}
        self._by_shape: dict[str, list[int]] = {}
        self._always: list[int] = []
        for place, rule in enumerate(self._rules):
            needs, listed = next(
                (needs, listed)
                for needs, listed in (
                    (rule.words, self._by_word),
                    (rule.signs, self._by_sign),
                    (rule.shapes, self._by_shape),
                    (("",), {"": self._always}),
                )
                if needs
            )
            for need in needs:
                listed.setdefault(need, []).append(place)

    def worth_trying(self, profile: Profile) -> list[Rule]:
        """Those that may match a text, in their order."""
        lowered, shape, words = profile.lowered, profile.shape, profile.words
        places = set(self._always)
        for word in self._by_word.keys() & words:
            places.update(self._by_word[word])
        for sign, rules in self._by_sign.items():
            if sign in lowered:
                places.update(rules)
        if shape:
            for sign, rules in self._by_shape.items():
                if sign in shape:
                    places.update(rules)
        return [self._rules[place] for place in sorted(places) if self._rules[place].may_match(profile)]


COMMON = frozenset({"number", "identifier", "health", "name"})
WORD = re.compile(r"[^\W_]+")
NO_WORD = dict.fromkeys(map(ord, set(map(chr, range(128))) - set(string.ascii_letters + string.digits)), " ")
DIGIT = re.compile(r"\d")
ISLAND = re.compile(r"0(?:[^\w\n]{0,2}0)*")
LETTERS = str.maketrans(string.ascii_lowercase, "a" * 26)
PAIRS = 3
"""Colons or hyphens of a hardware address."""


def profile_of(text: str) -> Profile:
    """What is quickly known of a text."""
    lowered = text.lower()
    words = frozenset(lowered.translate(NO_WORD).split() if lowered.isascii() else WORD.findall(lowered))
    has_digits = DIGIT.search(lowered) is not None
    if has_digits:
        lowered = DIGIT.sub("0", lowered)
    elif lowered.count(":") < PAIRS and lowered.count("-") < PAIRS:
        return Profile(lowered, "", words, 0, max(map(len, words), default=0))
    digits = max(map(len, ISLAND.findall(lowered)), default=0)
    return Profile(lowered, lowered.translate(LETTERS), words, digits, max(map(len, words), default=0))


def called(
    kind: str,
    cues: Sequence[str],
    value: str,
    holds: Callable[[str], bool] = _anything,
    digits: int = 0,
    link: str = LINK,
) -> Rule:
    """A value that one of the cues announces, as in `SSN: 078-05-1120`."""
    pattern = re.compile(rf"(?i:(?<![^\W_])(?:{either(cues)})(?![^\W_])){link}(?P<value>{value})(?!\w)")
    return Rule(kind, pattern, holds, rarest(cues), first_words(cues), digits=digits)


def either(cues: Iterable[str]) -> str:
    """A pattern for any of the cues, the longest first. A blank stands for a hyphen, too."""
    return "|".join(re.escape(cue).replace("\\ ", "[ _-]") for cue in sorted(cues, key=len, reverse=True))


def rarest(cues: Iterable[str]) -> frozenset[str]:
    """Of each cue its longest word, and rather none that stands everywhere."""
    return frozenset(max(WORD.findall(cue), key=lambda word: (word not in COMMON, len(word))) for cue in cues)


def first_words(cues: Iterable[str]) -> frozenset[str]:
    """The words that the cues begin with."""
    return frozenset(WORD.findall(cue)[0].lower() for cue in cues)


# Identifiers after a cue hold a digit, so that "passport number please" is none.
ID = r"(?=[A-Z-]{0,6}[ ]?\d)[A-Z0-9](?:[ ./-]?[A-Z0-9]){3,20}(?![\w@])"


def is_personal_mailbox(text: str) -> bool:
    """Whether an address is a person's, and not that of a role such as support@."""
    return re.split(r"[@\s(\[{]", text, maxsplit=1)[0].lower() not in ROLES


def is_public_address(text: str) -> bool:
    """Whether it is an IP address that the whole net knows. Those of version 6 tell one device wherever they hold."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address.version == 6:
        return not (address.is_loopback or address.is_unspecified)
    return not (address.is_private or address.is_loopback or address.is_multicast or address.is_unspecified)


DOUBLE_BRACES = re.compile(r"\{\{|\}\}")
STANDS_FOR_ONE = re.compile(r"[{<$@%(\[]+[\w.]+[}>%)\]]*|[a-z_][\w.]*[(\[{].*", re.IGNORECASE | re.DOTALL)
"""A password's name in a template or a command, such as $PASSWORD, or code that gets it."""


def _looks_random(text: str) -> bool:
    """Letters and digits, or letters and signs: not a word of the language."""
    if any(map(str.isdigit, text)):
        return not DOUBLE_BRACES.search(text)
    has_signs = len(text) >= 6 and re.search(r"[^\w\s.,'’/-]", text) is not None
    return has_signs and not (DOUBLE_BRACES.search(text) or STANDS_FOR_ONE.fullmatch(text))


def _is_no_example(digits: str) -> bool:
    """Not 1234 or 0000, by which nothing is told of anybody."""
    return {int(after) - int(before) for before, after in pairwise(digits)} not in ({0}, {1})


def _is_key(text: str) -> bool:
    return len(text) >= 12 and any(map(str.isdigit, text)) and any(map(str.isalpha, text))


KEY_FORMS = (
    r"(?:AKIA|ASIA)[0-9A-Z]{16}",  # Amazon
    r"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{20,}|glpat-[\w-]{16,}",
    r"sk-[A-Za-z0-9_-]{20,}|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{16,}",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}|AIza[\w-]{35}|ya29\.[\w-]{20,}|hf_[A-Za-z0-9]{20,}|npm_[A-Za-z0-9]{30,}",
    r"SG\.[\w-]{16,}\.[\w-]{16,}|dop_v1_[0-9a-f]{40,}|pypi-[\w-]{40,}",
    r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*",  # JSON web token
)
KEY_SIGNS = words("key_signs")
EMAIL = r"(?<![\w.+-])[\w.+'-]{1,64}@\w(?:[\w-]*\w)?(?:\.\w(?:[\w-]*\w)?)+"
SPELLED_EMAIL = r"(?i)\b[\w.+-]{1,64}\s?[\[({]\s?at\s?[\])}]\s?[\w-]+(?:\s?(?:[\[({]\s?dot\s?[\])}]|\.)\s?[\w-]+)+"
PASSWORD = words("password_cues")
SECRET = words("secret_cues")
URL_SECRET = r"token|key|api_?key|access_?token|sig|signature|secret|password|pwd|auth|code|session(?:_?id)?|sid|jwt"

MONTHS = (
    r"jan(?:uary|uar|vier)?|feb(?:ruary|ruar|r)?|f[ée]vr(?:ier)?|mar(?:ch|s|zo|ço)?|märz|maart|apr(?:il|ile)?|avril|abril|"
    r"ma[iy]|mayo|maggio|maio|mei|jun[ei]?|juin|junio|giugno|junho|juni|jul[iy]?|juillet|julio|luglio|julho|"
    r"aug(?:ust|ustus)?|ao[uû]t|agosto|sep(?:t|tember|tembre)?|set(?:tembre|embro)?|septiembre|o[ck]t(?:ober|obre)?|"
    r"octubre|outubro|ottobre|nov(?:ember|embre|iembre|embro)?|de[czs](?:ember|embre)?|diciembre|dicembre|dezembro|"
    r"enero|gennaio|janeiro|febrero|febbraio|fevereiro|januari|februari|augustus|décembre|stycznia|lutego|marca|"
    r"kwietnia|maja|czerwca|lipca|sierpnia|września|października|listopada|grudnia"
)
DATE = (
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?!\d)|\d{1,2}[-/. ]\s?\d{1,2}[-/. ]\s?(?:19|20)?\d{2}(?!\d)|"
    rf"\d{{1,2}}(?:st|nd|rd|th|\.|º|er)?[ -](?:(?:of|de|di) )?(?i:{MONTHS})\.?,?[ -](?:(?:de|del) )?\d{{2,4}}(?!\d)|"
    rf"(?i:{MONTHS})\.? \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}(?!\d)"
)
BORN = words("birth_cues")
BIRTH_LINK = r"(?:[\s,:=(-]+(?:is|was|on|the|am|ist|est|le|el|il|em|es|op|dnia|in \w+ on|in \w+)){0,3}[\s.,:=(-]*"
LONG_TOKEN = r"[A-Za-z0-9_+/=.-]{12,}(?<![.])"


def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _born() -> Rule:
    pattern = rf"(?i:(?<!\w)(?:{either(BORN)})(?!\w)){BIRTH_LINK}(?P<value>{DATE})"
    return Rule("birth_dates", re.compile(pattern), words=rarest(BORN), starts=first_words(BORN), digits=1)


EVERYWHERE: tuple[Rule, ...] = (
    Rule(
        "secrets",
        _pattern(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
        signs=("private key-----",),
    ),
    Rule("secrets", _pattern(rf"(?<![\w-])(?:{'|'.join(KEY_FORMS)})"), signs=KEY_SIGNS),
    Rule("secrets", _pattern(r"(?<![\w-])(?:AC|SK)[0-9a-f]{32}(?!\w)"), longest=34),
    Rule("secrets", _pattern(r"(?<=://)[^\s/:@]+:(?P<value>[^\s/@]+)(?=@)"), signs=("://",)),
    Rule("secrets", _pattern(rf"(?i:[?&#;](?:{URL_SECRET})=)(?P<value>[^\s&#\"'<>)\]]{{6,}})"), signs=("=",)),
    Rule("emails", _pattern(EMAIL), is_personal_mailbox, signs=("@",)),
    Rule("emails", _pattern(SPELLED_EMAIL), is_personal_mailbox, signs=("[at", "(at", "{at", "[ at", "( at", "{ at")),
    Rule(
        "ibans", _pattern(r"(?<!\w)[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{2,4}){3,8}(?!\w)"), is_iban, shapes=("aa00",), digits=6
    ),
    Rule(
        "ibans",
        _pattern(r"(?<!\w)[a-z]{2}\d{2}(?:[ -]?[a-z0-9]{4}){2,7}(?:[ -]?[a-z0-9]{1,3})?(?!\w)"),
        is_iban,
        shapes=("aa00",),
        digits=6,
    ),
    Rule("cards", _pattern(r"(?<![\w.-])(?<!\d )\d(?:[ -]?\d){11,18}(?![\w-])"), is_card, digits=12),
    Rule(
        "network_addresses",
        _pattern(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)"),
        is_public_address,
        shapes=(".0.", ".00.", ".000."),
        digits=7,
    ),
    Rule(
        "network_addresses",
        _pattern(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])"),
        is_public_address,
        signs=("::", "0:", ":0"),
    ),
    Rule(
        "network_addresses",
        _pattern(r"(?<![\w:-])[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}(?![\w:-])"),
        shapes=tuple(f"{sign}{pair}{sign}" for sign in ":-" for pair in ("00", "0a", "a0", "aa")),
    ),
    called("secrets", PASSWORD, r"[^\s\"'”“»)\]`,;]{4,}(?<![.?!:])", _looks_random, link=LINK_IN_LINE),
    called("secrets", SECRET, LONG_TOKEN, _is_key),
    called("secrets", ("cvv", "cvc", "security code", "pin"), r"\d{3,6}(?!\w)", _is_no_example, digits=3),
    _born(),
    Rule("birth_dates", _pattern(rf"(?<![\w*])[*]\s?(?P<value>{DATE})"), signs=("*",), digits=1),
)
