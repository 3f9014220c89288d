"""Base models opened from their files, and errors in words for those that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from sonneteer.errors import ModelError
from sonneteer.models.load import open_model

from .networks import saved


def test_couplet_ends_its_answers_with_the_mark_of_its_template() -> None:
    model = open_model("couplet", Path("."))
    (stop,) = model.renderer.stop_ids()
    assert model.tokenizer.decode([stop]) == "<|im_end|>"


def test_damaged_weights_are_an_error_in_words(tmp_path: Path) -> None:
    folder = saved("llama", tmp_path / "mine")
    (folder / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="cannot be opened as a language model"):
        open_model("mine", tmp_path)
