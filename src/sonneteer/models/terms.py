"""Which words of a domain take many tokens, and how often: what it would save to have each of them as one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from sonneteer.errors import DataError

WORD = re.compile(r"( ?)([^\W\d_]{3,})")
LEAST_TEXTS = 3
"""A word of fewer texts is no term of the domain: somebody's name, perhaps."""
BATCH = 1000


class Term(NamedTuple):
    """A word that takes several tokens."""

    form: str
    """As it stands in a text, with the space before it where it mostly has one."""
    pieces: tuple[str, ...]
    """The tokens that it takes now."""
    times: int
    """How often it stands in the texts, in this form."""

    @property
    def word(self) -> str:
        """Without the space."""
        return self.form.strip()

    @property
    def saving(self) -> int:
        """Tokens that the texts need less if it is one token."""
        return self.times * (len(self.pieces) - 1)


def propose(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], least_saving: int = 1) -> list[Term]:
    """Words of at least three of the texts, those that save most first; each in the form that it mostly has."""
    times, spread = _counted(texts)
    usual: dict[str, str] = {}
    for form, count in times.items():
        word = form.strip()
        if spread[form] >= LEAST_TEXTS and count > times.get(usual.get(word, ""), 0):
            usual[word] = form
    terms = [Term(form, pieces_of(tokenizer, form), times[form]) for form in usual.values()]
    worth = [term for term in terms if term.saving >= least_saving]
    return sorted(worth, key=lambda term: (-term.saving, term.form))


def named_terms(tokenizer: PreTrainedTokenizerBase, words: Sequence[str], texts: Iterable[str]) -> list[Term]:
    """These words in the form that they mostly have in the texts. A word that is one token already is left out."""
    times, _ = _counted(texts)
    forms = [max((" " + word, word), key=lambda form: times[form]) for word in words]
    terms = [Term(form, pieces_of(tokenizer, form), times[form]) for form in forms]
    return [term for term in terms if len(term.pieces) > 1]


def pieces_of(tokenizer: PreTrainedTokenizerBase, form: str) -> tuple[str, ...]:
    """The tokens of a word as it stands in a text."""
    if not form.startswith(" "):
        return tuple(tokenizer.tokenize(form))
    lead = len(tokenizer.tokenize("a"))  # some tokenizers write a space before a text's first word, too
    return tuple(tokenizer.tokenize("a" + form)[lead:])


def count_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> int:
    """Tokens that texts take, without any marks around them."""
    batches = (list(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH))
    return sum(len(ids) for batch in batches for ids in tokenizer(batch, add_special_tokens=False)["input_ids"])


def read_words(path: str, content: str) -> list[str]:
    """The words of a file, one a line; what follows `#` is a remark. Raises DataError for a line of several words."""
    words: dict[str, None] = {}
    for number, line in enumerate(content.splitlines(), 1):
        word = line.partition("#")[0].strip()
        if word and not re.fullmatch(r"[^\W\d_]+", word):
            raise DataError(
                f"{path}, line {number}: '{word}' is more than one word of letters, and tokenizers cut texts there "
                "before they join anything. Write each word on a line of its own."
            )
        if word:
            words[word] = None
    return list(words)


def _counted(texts: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """How often each form stands in the texts, and in how many of them."""
    times: Counter[str] = Counter()
    spread: Counter[str] = Counter()
    for text in texts:
        here = Counter(space + word for space, word in WORD.findall(text))
        times.update(here)
        spread.update(here.keys())
    return times, spread
