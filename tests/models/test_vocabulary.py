"""New tokens for a domain's words: texts only ever get shorter, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, Qwen2Tokenizer

from sonneteer.errors import DataError, ModelError
from sonneteer.models.load import LanguageModel
from sonneteer.models.terms import count_tokens, propose, read_words
from sonneteer.models.vocabulary import Vocabulary, joined, vocabulary_of, widened
from sonneteer.recipe.sections import VocabularySettings

from .networks import network, tokenizer

WORDS = ["anticoagulant", "anticoagulation", "coagulation", "myocardial", "infarction", "thrombosis"]
TEXTS = [f"The {word} was seen, and {word} again. No {word}!" for word in WORDS for _ in range(3)]
OLD = tokenizer()
NEW = joined(OLD, propose(OLD, TEXTS))


def expanded(vocabulary: Vocabulary, ids: list[int]) -> list[int]:
    """Each new token replaced by the old ones that it stands for."""
    return [old for new in ids for old in vocabulary.pieces.get(new, (new,))]


@given(
    st.lists(st.sampled_from([*WORDS, "anti", "coagul", "ants", "é", "\n", "<|im_end|>", "日本", " ", "7"])).map(
        "".join
    )
)
def test_new_tokens_stand_for_runs_of_old_ones_and_nothing_else_changes(text: str) -> None:
    old, new = OLD.encode(text), NEW.tokenizer.encode(text)
    assert expanded(NEW, new) == old
    assert NEW.tokenizer.decode(new) == OLD.decode(old)


def test_every_term_is_one_token_in_a_sentence() -> None:
    assert {term.word for term in NEW.terms} >= set(WORDS)
    for word in WORDS:
        assert len(NEW.tokenizer.encode(f"The {word}")) == len(OLD.encode("The")) + 1


def test_what_is_proposed_saves_what_it_says() -> None:
    best, *_ = propose(OLD, TEXTS)
    made = joined(OLD, [best])
    assert count_tokens(OLD, TEXTS) - count_tokens(made.tokenizer, TEXTS) >= best.saving > 0


def test_a_word_of_too_few_texts_is_no_term() -> None:
    assert propose(OLD, ["Mr Featherstonehaugh " * 50, "Featherstonehaugh"]) == []


def test_terms_that_begin_alike_share_their_parts() -> None:
    alike = [term for term in propose(OLD, TEXTS) if term.word.startswith("anticoag")]
    assert len(joined(OLD, alike).joins) < sum(len(term.pieces) - 1 for term in alike)


@pytest.mark.parametrize("kind", [PreTrainedTokenizerFast, Qwen2Tokenizer])
def test_marks_behind_the_vocabulary_keep_their_ids(kind: type[PreTrainedTokenizerBase], tmp_path: Path) -> None:
    plain = tokenizer()
    plain.save_pretrained(tmp_path)
    old = kind.from_pretrained(tmp_path)
    old.add_special_tokens({"additional_special_tokens": ["<|tool|>", "<|think|>"]})
    made = joined(old, propose(old, TEXTS))
    for text in (*TEXTS, "<|tool|> anticoagulant<|think|><|im_end|>"):
        assert expanded(made, made.tokenizer.encode(text)) == old.encode(text)
    assert min(made.pieces) == len(old)
    made.tokenizer.save_pretrained(tmp_path / "again")
    assert kind.from_pretrained(tmp_path / "again").get_vocab() == made.tokenizer.get_vocab()


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_a_new_token_starts_from_the_mean_of_its_pieces_in_what_is_read_and_written(family: str) -> None:
    before = network(family)
    model = widened(LanguageModel("base", network(family), OLD, "base"), NEW)
    tables = [
        (net.get_input_embeddings().weight, net.get_output_embeddings().weight) for net in (before, model.network)
    ]
    for old, new in zip(*tables, strict=True):
        torch.testing.assert_close(new[: len(OLD)], old[: len(OLD)])
        for token, pieces in NEW.pieces.items():
            torch.testing.assert_close(new[token], old[list(pieces)].mean(0))
    assert model.new_ids == tuple(NEW.pieces)
    assert model.network.config.vocab_size == before.config.vocab_size > max(NEW.pieces)  # it had rows to spare


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (VocabularySettings(new_terms=2), {"anticoagulation", "anticoagulant"}),
        (VocabularySettings(new_terms=100, least_saving=100), {"anticoagulation"}),
        (VocabularySettings(terms="terms.txt"), {"thrombosis", "pericarditis"}),
        (VocabularySettings(new_terms=1, terms="terms.txt"), {"anticoagulation", "thrombosis", "pericarditis"}),
    ],
)
def test_terms_are_accepted_by_number_by_saving_and_by_file(
    settings: VocabularySettings, words: set[str], tmp_path: Path
) -> None:
    (tmp_path / "terms.txt").write_text("thrombosis  # often\n\n# a remark\npericarditis\n")
    made = vocabulary_of(OLD, TEXTS, settings, tmp_path)
    assert {term.word for term in made.terms} == words


def test_a_line_that_is_no_word_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"terms.txt, line 2: 'atrial fibrillation'"):
        read_words("terms.txt", "thrombosis\natrial fibrillation\n")
    with pytest.raises(DataError, match=r"base.vocabulary.terms: .*none.txt cannot be read"):
        vocabulary_of(OLD, TEXTS, VocabularySettings(terms="none.txt"), tmp_path)


def test_a_tokenizer_that_joins_no_pairs_is_refused() -> None:
    pieces = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    pieces.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(ModelError, match=r"tokenizer \(WordLevel\) does not join pairs"):
        joined(PreTrainedTokenizerFast(tokenizer_object=pieces), [])
