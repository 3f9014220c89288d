"""Where base models are looked for, what they are known by, and errors in words for those that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from sonneteer.errors import ModelError
from sonneteer.models.places import BUNDLED, fingerprint_of_folder, locate

from .networks import saved


def test_couplet_is_bundled_and_small() -> None:
    assert locate("couplet", Path("anywhere")) == BUNDLED
    assert sum(file.stat().st_size for file in BUNDLED.iterdir()) <= 20e6


def test_a_folder_is_looked_for_beside_the_recipe(tmp_path: Path) -> None:
    saved("llama", tmp_path / "mine")
    assert locate("mine", tmp_path) == tmp_path / "mine"


def test_a_model_that_is_nowhere_is_an_error_that_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"there is no 'coplet'.*{tmp_path / 'coplet'}"):
        locate("coplet", tmp_path)


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"no config\.json"):
        locate("empty", tmp_path)


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    folder = saved("llama", tmp_path / "mine")
    before = fingerprint_of_folder(folder)
    assert before == fingerprint_of_folder(saved("llama", tmp_path / "again"))
    (folder / "chat_template.jinja").write_text("other")
    assert before != fingerprint_of_folder(folder)
