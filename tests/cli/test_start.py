"""Something to begin with, and nothing overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from sonneteer.cli.start import write_start
from sonneteer.errors import MachineError, TakenError
from sonneteer.recipe import KINDS, read_recipe
from tests.cli.conftest import Command


@pytest.mark.parametrize("kind", KINDS)
def test_the_recipe_names_the_file_of_examples_beside_it(kind: str, tmp_path: Path) -> None:
    start = write_start(kind, tmp_path / "new" / "folder")
    loaded = read_recipe(start.recipe)
    (source,) = loaded.recipe.data.sources
    assert loaded.folder / source.path == start.examples
    assert start.examples.stat().st_size > 10_000
    assert start.is_new


def test_the_second_time_nothing_is_written_and_this_is_said(sonneteer: Command) -> None:
    assert sonneteer("init", "legal", "x").code == 0
    said = sonneteer("init", "legal", "x")
    assert said.code == 0
    assert "nothing was written" in said.out
    assert sonneteer("init", "legal", "x", "--json").document["is_new"] is False


@pytest.mark.parametrize("name", ["recipe.yaml", "clauses.jsonl"])
def test_what_the_user_wrote_is_never_overwritten(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(TakenError, match=f"{name} stands here already"):
        write_start("legal", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_folder_below_a_file_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="cannot be a folder"):
        write_start("legal", tmp_path / "file" / "x")


def test_init_says_what_to_do_next(sonneteer: Command, folder: Path) -> None:
    said = sonneteer("init", "content", "some where")
    assert said.code == 0
    assert "sonneteer run 'some where/recipe.yaml'" in said.out
    assert (folder / "some where" / "recipe.yaml").exists()


def test_an_unknown_kind_is_refused_with_the_nearest(sonneteer: Command) -> None:
    said = sonneteer("init", "suport")
    assert said.code == 3
    assert "Did you mean 'support'?" in said.err
