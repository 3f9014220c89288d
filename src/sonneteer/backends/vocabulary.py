"""What a domain's words cost in tokens, what new tokens would save, and what they did to the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from sonneteer.chat import LogProbs
from sonneteer.models.terms import Term, count_tokens, propose
from sonneteer.models.vocabulary import Vocabulary, joined
from sonneteer.records import Example, Record, SplitName

SIZES = (50, 200, 1000)
SHOWN = 20
SCORED = 200


class Texts(NamedTuple):
    """What is said in each example, side by side."""

    train: list[str]
    validation: list[str]


class Fertility(Record):
    """How many tokens texts take."""

    words: int
    """Runs of anything but white space."""
    characters: int
    tokens: int
    tokens_with_terms: int
    """With the new tokens that the recipe asks for."""

    @property
    def saved_share(self) -> float:
        """Share of the tokens that the new ones save."""
        return 1 - self.tokens_with_terms / max(self.tokens, 1)


class Proposal(Record):
    """A word that could become one token."""

    word: str
    pieces: tuple[str, ...]
    times: int
    saving: int
    """Tokens saved on the training split."""


class Offer(Record):
    """What so many of the best words would save."""

    terms: int
    tokens: int
    """New tokens: a long word needs some for its parts."""
    saved_share: dict[SplitName, float]


class VocabularyReport(Record):
    """What a tokenizer makes of a domain."""

    fertility: dict[SplitName, Fertility]
    proposals: tuple[Proposal, ...]
    """The words that save most; at most a thousand."""
    offers: tuple[Offer, ...]
    terms: int = 0
    """Words that the recipe makes tokens of."""
    new_tokens: int = 0
    bits_per_character: dict[str, float] | None = None
    """On validation answers, comparable although the tokens differ: base, base with the new tokens, tuned."""


def vocabulary_report(
    tokenizer: PreTrainedTokenizerBase, vocabulary: Vocabulary | None, texts: Texts
) -> VocabularyReport:
    """Measure texts with the base model's tokenizer, with the recipe's new tokens, and with the best of some sizes."""
    proposals = propose(tokenizer, texts.train)[: SIZES[-1]]
    wider = tokenizer if vocabulary is None else vocabulary.tokenizer
    fertility: dict[SplitName, Fertility] = {
        "train": _fertility(tokenizer, wider, texts.train),
        "validation": _fertility(tokenizer, wider, texts.validation),
    }
    sizes = [size for size in SIZES if size < len(proposals)] + [len(proposals)] if proposals else []
    return VocabularyReport(
        fertility=fertility,
        proposals=tuple(_proposal(tokenizer, term) for term in proposals),
        offers=tuple(_offer(joined(tokenizer, proposals[:size]), texts, fertility) for size in sizes),
        terms=len(vocabulary.terms) if vocabulary else 0,
        new_tokens=len(vocabulary.pieces) if vocabulary else 0,
    )


def bits_of(chats: Mapping[str, Callable[[], LogProbs]], examples: Sequence[Example]) -> dict[str, float] | None:
    """Bits per character of the examples' answers under each model, opened one after another."""
    scored = [example for example in examples if not example.is_text][:SCORED]
    if not scored:
        return None
    found = {}
    for name, opened in chats.items():
        told = opened().likelihoods(scored)
        found[name] = -sum(one.log_prob for one in told) / max(sum(one.characters for one in told), 1) / log(2)
    return found


def _fertility(old: PreTrainedTokenizerBase, new: PreTrainedTokenizerBase, texts: Sequence[str]) -> Fertility:
    return Fertility(
        words=sum(len(text.split()) for text in texts),
        characters=sum(map(len, texts)),
        tokens=count_tokens(old, texts),
        tokens_with_terms=count_tokens(new, texts),
    )


def _proposal(tokenizer: PreTrainedTokenizerBase, term: Term) -> Proposal:
    pieces = tuple(tokenizer.convert_tokens_to_string([piece]).strip() for piece in term.pieces)
    return Proposal(word=term.word, pieces=pieces, times=term.times, saving=term.saving)


def _offer(made: Vocabulary, texts: Texts, before: Mapping[SplitName, Fertility]) -> Offer:
    sides: dict[SplitName, Sequence[str]] = {"train": texts.train, "validation": texts.validation}
    saved: dict[SplitName, float] = {
        name: 1 - count_tokens(made.tokenizer, side) / max(before[name].tokens, 1) for name, side in sides.items()
    }
    return Offer(terms=len(made.terms), tokens=len(made.pieces), saved_share=saved)
