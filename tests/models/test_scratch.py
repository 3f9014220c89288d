"""A new model is made of its texts, its architecture and its seed, and of nothing else."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from sonneteer.models.scratch import new_model
from sonneteer.recipe.sections import Architecture

from .networks import tokenizer

SMALL = Architecture(vocabulary_size=400, hidden_size=32, layers=2, feed_forward_size=64, context=128)
TOKENIZER = tokenizer()


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40))
def test_every_text_survives_the_tokenizer(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text, add_special_tokens=False)) == text


def test_the_same_texts_and_seed_give_the_same_model() -> None:
    first, again, other = (new_model("m", SMALL, TOKENIZER, seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    for a, b in zip(first.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_template_marks_the_assistant_s_own_tokens_for_other_trainers() -> None:
    messages = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Good day."}]
    told = TOKENIZER.apply_chat_template(messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    marked = [i for i, is_own in zip(told["input_ids"], told["assistant_masks"], strict=True) if is_own]
    assert TOKENIZER.decode(marked) == "Good day.<|im_end|>"
