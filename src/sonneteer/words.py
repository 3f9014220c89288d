"""Words: what stands between spaces and signs; or single letters, in writing that puts no spaces between its words."""

from __future__ import annotations

import re

UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f"
    r"\U00020000-\U0003ffff"
)
"""Letters of Thai, Lao, Burmese, Khmer, Japanese and Chinese, in which Unicode finds no words without a dictionary
(UAX 29, section 4)."""
LETTER = re.compile(f"[{UNSPACED}]")
SPACED = re.compile(r"\w+")
WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
"""A word, or one letter where words cannot be told apart."""


def words_in(text: str) -> list[str]:
    """All words of a text. Faster than WORD alone: most texts are ASCII, or hold no such letter."""
    return (SPACED if text.isascii() or not LETTER.search(text) else WORD).findall(text)
