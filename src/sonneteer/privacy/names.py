"""Names of people, by what announces them: a title, a greeting, a signature, a form's field."""

from __future__ import annotations

import re

from sonneteer.privacy.rules import Rule, either, first_words, rarest
from sonneteer.privacy.words import words

PART = r"[A-ZÀ-ÖØ-ÞĀ-Ž][\w’'-]+"
INITIAL = r"[A-Z]\."
PARTICLE = rf"(?:{'|'.join(words('particles'))})"
NAME = rf"{PART}(?: (?:{PARTICLE} )?(?:{PART}|{INITIAL})){{0,3}}"
TITLES = "|".join(words("titles"))
TITLE = rf"(?:{TITLES})"
CUES = words("name_cues")
TITLED = re.compile(rf"(?<!\w){TITLE}\.?(?: {TITLE}\.?)* (?P<value>{NAME})")
CALLED = re.compile(rf"(?<!\w)(?i:{either(CUES)})\s+(?:{TITLE}\.? )?(?P<value>{NAME})")
NAME_RULES: tuple[Rule, ...] = (
    Rule("names", TITLED, words=first_words(words("titles")), starts=first_words(words("titles"))),
    Rule("names", CALLED, words=rarest(CUES), starts=first_words(CUES)),
)
