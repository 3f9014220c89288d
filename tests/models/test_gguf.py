"""GGUF files hold what was put into them, to the last bit that their numbers have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sonneteer.errors import ModelError
from sonneteer.models.gguf import GgufFile, read_gguf, write_gguf
from sonneteer.models.gguf_model import read_model, write_model
from sonneteer.models.gguf_words import plain_template
from sonneteer.models.scratch import CHAT_TEMPLATE

from .networks import network, tokenizer

FITTING = ["llama", "smollm", "qwen2", "qwen3"]


def test_settings_and_matrices_come_back(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    content = GgufFile(
        {"a.text": "né", "a.number": 7, "a.part": 0.5, "a.yes": True, "a.words": ["x", "日本"], "a.kinds": [1, 3]},
        {"matrix": chance.normal(size=(6, 64)).astype(np.float32), "vector": np.arange(5, dtype=np.float32)},
    )
    write_gguf(tmp_path / "f32", content, "f32")
    whole = read_gguf(tmp_path / "f32")
    assert whole.settings == content.settings
    np.testing.assert_array_equal(whole.tensors["matrix"], content.tensors["matrix"])
    write_gguf(tmp_path / "q8", content, "q8_0")
    short = read_gguf(tmp_path / "q8").tensors
    np.testing.assert_array_equal(short["vector"], content.tensors["vector"])
    step = np.abs(content.tensors["matrix"].reshape(-1, 32)).max(-1, keepdims=True) / 127
    wrong = np.abs(short["matrix"] - content.tensors["matrix"]).reshape(-1, 32)
    assert (wrong <= step * 0.56).all()  # half a step, and the rounding of the scale


@torch.no_grad()
@pytest.mark.parametrize("family", FITTING)
def test_a_network_and_its_words_come_back(family: str, tmp_path: Path) -> None:
    net, words = network(family), tokenizer()
    write_model(net, words, tmp_path / "m.gguf", "f32")
    again = read_model(tmp_path / "m.gguf", network(family, seed=1), words)
    ids = torch.tensor([[5, 6, 7, 8]])
    torch.testing.assert_close(again.network(input_ids=ids).logits, net(input_ids=ids).logits)
    text = "Where is my order? <|im_end|> é日本 2day"
    assert again.tokenizer.encode(text) == words.encode(text)
    assert again.tokenizer.eos_token_id == words.eos_token_id


@pytest.mark.parametrize(("family", "words"), [("mistral", "sliding window"), ("gemma", "kind 'gemma'")])
def test_what_cannot_be_said_in_gguf_is_refused(family: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=words):
        write_model(network(family), tokenizer(), tmp_path / "m.gguf", "f16")


def test_a_tokenizer_that_llama_cpp_does_not_know_is_refused(tmp_path: Path) -> None:
    from tokenizers import pre_tokenizers

    odd = tokenizer()
    odd.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    with pytest.raises(ModelError, match="does not know how this model's tokenizer cuts texts"):
        write_model(network("llama"), odd, tmp_path / "m.gguf", "f16")


def test_a_template_without_trainers_tags_writes_the_same() -> None:
    assert "generation" not in plain_template(CHAT_TEMPLATE).replace("add_generation_prompt", "")
    one, two = tokenizer(), tokenizer()
    two.chat_template = plain_template(str(one.chat_template))
    told = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    written = [words.apply_chat_template(told, tokenize=False) for words in (one, two)]
    assert written[0] == written[1]


def test_a_file_that_is_none_or_torn_is_named(tmp_path: Path) -> None:
    (tmp_path / "no.gguf").write_bytes(b"hello")
    with pytest.raises(ModelError, match=r"no\.gguf is no GGUF file"):
        read_gguf(tmp_path / "no.gguf")
    write_model(network("llama"), tokenizer(), tmp_path / "m.gguf", "f16")
    (tmp_path / "m.gguf").write_bytes((tmp_path / "m.gguf").read_bytes()[:2000])
    with pytest.raises(ModelError, match="no whole GGUF file"):
        read_gguf(tmp_path / "m.gguf")
