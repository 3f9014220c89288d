"""A tokenizer and a network with new tokens for the terms of a domain.

Each new token joins two older ones by a rule that stands behind all rules of the tokenizer: a text is first cut as
before, and only then do pieces join. So no text ever takes more tokens than before, a text without the terms takes the
very same ones, and each new token is a run of old ones, whose mean it starts from. Tokens put beside the rules instead
would cut up words that merely contain a term.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase

from sonneteer.errors import DataError, ModelError
from sonneteer.models.load import LanguageModel, tokenizer_of
from sonneteer.models.new_rows import start_from_pieces
from sonneteer.models.terms import Term, named_terms, pieces_of, propose, read_words
from sonneteer.recipe.sections import VocabularySettings
from sonneteer.records import fingerprint_of

Pair = tuple[str, str]


class Vocabulary(NamedTuple):
    """New tokens for a tokenizer."""

    terms: tuple[Term, ...]
    joins: tuple[Pair, ...]
    """Which pieces join, in order; some make only a part of a term."""
    tokenizer: PreTrainedTokenizerBase
    """The tokenizer that has them."""
    pieces: Mapping[int, Sequence[int]]
    """Each new token's id, and those of the old tokens that it stands for."""


def vocabulary_of(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], settings: VocabularySettings, folder: Path
) -> Vocabulary:
    """The new tokens that the settings ask for. `texts` are those of the training split, one an example.

    Raises ModelError for a tokenizer that does not join pairs, and DataError for a word that it cannot join.
    """
    named: list[Term] = []
    if settings.terms is not None:
        path = folder / settings.terms
        try:
            named = named_terms(tokenizer, read_words(settings.terms, path.read_text("utf-8")), texts)
        except (OSError, UnicodeDecodeError) as problem:
            raise DataError(f"base.vocabulary.terms: {path} cannot be read: {problem}") from problem
    best = propose(tokenizer, texts, settings.least_saving)[: settings.new_terms]
    made = joined(tokenizer, [*named, *(term for term in best if term.form not in {one.form for one in named})])
    lost = sorted({term.word for term in named} - {term.word for term in made.terms})
    if lost:
        raise DataError(
            f"{settings.terms}: the base model's tokenizer cannot make one token of {', '.join(lost)}. Remove it."
        )
    return made


def joined(tokenizer: PreTrainedTokenizerBase, terms: Sequence[Term]) -> Vocabulary:
    """The tokenizer with each of the terms as one token, but for those that it cannot make one of."""
    model = _rules_of(tokenizer)["model"]
    kept = list(terms)
    while True:
        joins = _joins(kept, model["vocab"])
        wider = _widened(tokenizer, joins)
        whole = [term for term in kept if len(pieces_of(wider, term.form)) == 1]
        if len(whole) == len(kept):
            return Vocabulary(tuple(kept), tuple(joins), wider, _old_ids(tokenizer, wider, joins))
        kept = whole


def widened(model: LanguageModel, vocabulary: Vocabulary) -> LanguageModel:
    """The model with the new tokens, each starting from the mean of its pieces."""
    start_from_pieces(model.network, vocabulary.pieces)
    fingerprint = fingerprint_of([model.fingerprint, vocabulary.joins])
    return LanguageModel(model.name, model.network, vocabulary.tokenizer, fingerprint, tuple(vocabulary.pieces))


def _rules_of(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The tokenizer's own description of itself."""
    rules: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else {}
    model = rules.get("model", {})
    joins_pairs = model.get("type") == "BPE"
    if not joins_pairs or model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise ModelError(
            f"base.vocabulary: the base model's tokenizer ({model.get('type', type(tokenizer).__name__)}) does not "
            "join pairs of pieces (byte-pair encoding), so it cannot be given terms. Remove base.vocabulary, or take a "
            "Llama-, Qwen-, Mistral-, Gemma- or SmolLM-like base model."
        )
    return rules


def _joins(terms: Sequence[Term], known: Mapping[str, int]) -> list[Pair]:
    """Which pieces have to join so that each term becomes one. Terms that begin alike share their joins.

    Joins that come later never disturb an earlier term: while one of its own can be made, that goes first.
    """
    joins: dict[Pair, int] = {}
    for term in terms:
        pieces = _applied(list(term.pieces), joins)
        while (place := _place_to_join(pieces, known)) is not None:
            pair = pieces[place], pieces[place + 1]
            joins[pair] = len(joins)
            pieces[place : place + 2] = ["".join(pair)]
    return list(joins)


def _place_to_join(pieces: Sequence[str], known: Mapping[str, int]) -> int | None:
    """The first pair whose whole is new: an old token would join with others by the old rules."""
    places = range(len(pieces) - 1)
    return next((i for i in places if pieces[i] + pieces[i + 1] not in known), None)


def _applied(pieces: list[str], joins: Mapping[Pair, int]) -> list[str]:
    """Pieces after all joins, the earliest rule first, as byte-pair encoding does it."""
    while True:
        ranked = [(joins[pair], i) for i, pair in enumerate(pairwise(pieces)) if pair in joins]
        if not ranked:
            return pieces
        _, place = min(ranked)
        pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]


def _widened(tokenizer: PreTrainedTokenizerBase, joins: Sequence[Pair]) -> PreTrainedTokenizerBase:
    """The same tokenizer with more joins behind its own, written and read again: what is used is what is kept."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        path = Path(folder) / "tokenizer.json"
        rules = json.loads(path.read_text("utf-8"))
        model = rules["model"]
        # A tokenizer's marks count from the end of its words when it is read, unless they stand among these.
        model["vocab"] |= {token["content"]: token["id"] for token in rules["added_tokens"]}
        first = max(model["vocab"].values()) + 1
        tokens = dict.fromkeys("".join(pair) for pair in joins)
        model["vocab"] |= {token: first + place for place, token in enumerate(tokens)}
        in_words = bool(model["merges"]) and isinstance(model["merges"][0], str)
        model["merges"] += [" ".join(pair) if in_words else list(pair) for pair in joins]
        path.write_text(json.dumps(rules, ensure_ascii=False), "utf-8")
        return tokenizer_of(Path(folder))


def _old_ids(
    tokenizer: PreTrainedTokenizerBase, wider: PreTrainedTokenizerBase, joins: Sequence[Pair]
) -> dict[int, tuple[int, ...]]:
    """The new tokens' ids in order, each with those of the old tokens that it stands for."""
    old, new = tokenizer.get_vocab(), wider.get_vocab()
    made: dict[str, tuple[int, ...]] = {}
    for pair in joins:
        parts = [made.get(part) or (old[part],) for part in pair]
        made.setdefault("".join(pair), tuple(i for part in parts for i in part))
    return {new[token]: ids for token, ids in sorted(made.items(), key=lambda item: new[item[0]])}
