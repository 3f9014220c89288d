"""A tokenizer's words and rules in a GGUF file, and back.

llama.cpp's own converter knows tokenizers by a list of published ones, and so refuses every tokenizer that was changed.
This one reads the rules, and writes which of llama.cpp's ways to cut texts is the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from sonneteer.errors import ModelError
from sonneteer.models.gguf import Value

SINGLE_DIGITS = {"type": "Digits", "individual_digits": True}
WAYS_TO_CUT = {
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+": "qwen2",
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+": "llama-bpe",
}
"""Ends of the patterns that published tokenizers cut texts by, and what llama.cpp calls them."""
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
TEMPLATE = "tokenizer.chat_template"


def words_of(tokenizer: PreTrainedTokenizerBase, rows: int) -> dict[str, Value]:
    """The settings that describe a tokenizer. Raises ModelError where llama.cpp cuts no texts as it does."""
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    cut = _way_to_cut(rules)
    tokens, kinds = [f"[PAD{i}]" for i in range(rows)], [UNUSED] * rows
    for token, i in rules["model"]["vocab"].items():
        tokens[i], kinds[i] = token, NORMAL
    for mark in rules["added_tokens"]:
        tokens[mark["id"]], kinds[mark["id"]] = mark["content"], CONTROL if mark["special"] else USER_DEFINED
    words: dict[str, Value] = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": cut,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": [
            pair if isinstance(pair, str) else " ".join(pair) for pair in rules["model"]["merges"]
        ],
        # The template writes the beginning of a text itself; written twice it would be a fault.
        "tokenizer.ggml.add_bos_token": False,
    }
    marks = {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "padding": tokenizer.pad_token_id}
    words |= {f"tokenizer.ggml.{name}_token_id": i for name, i in marks.items() if i is not None}
    if tokenizer.chat_template:
        words[TEMPLATE] = plain_template(str(tokenizer.chat_template))
    return words


def plain_template(template: str) -> str:
    """The template without the tags that tell trainers which tokens are the assistant's: not all readers know them."""
    tag = r"\{%(-?)\s*(end)?generation\s*(-?)%\}"
    return re.sub(tag, lambda found: f"{{%{found[1]} {'endif' if found[2] else 'if true'} {found[3]}%}}", template)


def _way_to_cut(rules: Mapping[str, Any]) -> str:
    """What llama.cpp calls the way in which the tokenizer cuts texts before it joins anything."""
    steps = list(_steps(rules.get("pre_tokenizer")))
    by_bytes = [step for step in steps if step["type"] == "ByteLevel"]
    others = [step for step in steps if step["type"] != "ByteLevel"]
    is_plain = rules["model"]["type"] == "BPE" and len(by_bytes) == 1 and not by_bytes[0].get("add_prefix_space")
    if is_plain and by_bytes[0].get("use_regex", True) and (not others or others == [SINGLE_DIGITS]):
        return "smollm" if others else "gpt-2"
    if is_plain and len(others) == 1 and others[0]["type"] == "Split":
        pattern = str(others[0]["pattern"].get("Regex", ""))
        for end, name in WAYS_TO_CUT.items():
            if pattern.endswith(end):
                return name
    raise ModelError(
        "llama.cpp does not know how this model's tokenizer cuts texts, so a GGUF file would read other tokens than "
        "were learned. Export the model with --to merged."
    )


def _steps(step: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    if step is None:
        return
    if step["type"] == "Sequence":
        for inner in step["pretokenizers"]:
            yield from _steps(inner)
    else:
        yield step


def tokenizer_from(settings: Mapping[str, Any], cutting: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The tokenizer that a file describes."""
    rules = json.loads(cutting.backend_tokenizer.to_str())
    words = dict(enumerate(zip(settings["tokenizer.ggml.tokens"], settings["tokenizer.ggml.token_type"], strict=True)))
    rules["model"]["vocab"] = {token: i for i, (token, kind) in words.items() if kind != UNUSED}
    rules["model"]["merges"] = [pair.split(" ", 1) for pair in settings["tokenizer.ggml.merges"]]
    marks = {i: kind for i, (_, kind) in words.items() if kind in (CONTROL, USER_DEFINED)}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    rules["added_tokens"] = [
        {"id": i, "content": words[i][0], "special": kind == CONTROL, **plain} for i, kind in marks.items()
    ]
    named = {
        f"{name}_token": words[settings[f"tokenizer.ggml.{key}_token_id"]][0]
        for name, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))
        if f"tokenizer.ggml.{key}_token_id" in settings
    }
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(rules)), chat_template=settings.get(TEMPLATE), **named
    )
