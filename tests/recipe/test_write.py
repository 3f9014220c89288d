"""The recipes to begin with: commented, equal to the defaults, and with examples that can be read."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

from sonneteer.errors import MissingError
from sonneteer.recipe import KINDS, Recipe, read_recipe, write_recipe
from sonneteer.recipe.settings import SETTINGS
from sonneteer.recipe.write import FOR_COUPLET
from sonneteer.records import Example, Message

OURS = [kind for kind in KINDS if kind != "support"]


def rows(kind: str) -> list[dict[str, object]]:
    text = (resources.files("sonneteer.recipes") / kind / KINDS[kind].file).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_written_recipe_reads_as_the_defaults_but_for_what_suits_the_bundled_model(kind: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(write_recipe(kind))
    sources = [{"path": KINDS[kind].file}]
    expected = Recipe.model_validate({"name": kind, "data": {"sources": sources}, "training": FOR_COUPLET})
    assert read_recipe(tmp_path).recipe == expected


def test_above_every_setting_stands_the_sentence_that_documents_it() -> None:
    text = " ".join(write_recipe("support").replace("#", " ").split())
    for setting in SETTINGS.values():
        if not setting.name.startswith("base.from_scratch."):
            assert " ".join(setting.doc.split()) in text, setting.name


def test_every_setting_has_a_sentence() -> None:
    assert [name for name, setting in SETTINGS.items() if not setting.doc] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_head_says_that_the_examples_are_examples(kind: str) -> None:
    head = write_recipe(kind).partition("name:")[0].replace("#", " ")
    assert "written for this recipe" in " ".join(head.split())


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(MissingError, match="Did you mean 'medical'"):
        write_recipe("medicla")


@pytest.mark.parametrize("kind", OURS)
def test_the_examples_are_varied_and_end_in_an_answer(kind: str) -> None:
    examples = [
        Example(messages=tuple(Message(role=m["role"], text=m["content"]) for m in row["messages"]), tags=row["tags"])  # type: ignore[attr-defined]
        for row in rows(kind)
    ]
    assert len(examples) >= 40
    assert len({example.answer.text for example in examples}) == len(examples)
    assert len({example.prompt.messages[-1].text for example in examples}) == len(examples)
    assert len({example.tags["topic"] for example in examples}) >= 6
    assert len({example.tags["group"] for example in examples}) >= 4
    assert len({example.messages[0].text for example in examples}) == 1


def test_every_medical_answer_says_when_to_get_help() -> None:
    for row in rows("medical"):
        answer = row["messages"][-1]["content"]  # type: ignore[index]
        assert any(word in answer for word in ("doctor", "midwife", "emergency")), answer


def test_every_legal_answer_has_its_three_parts() -> None:
    for row in rows("legal"):
        lines = row["messages"][-1]["content"].splitlines()  # type: ignore[index]
        assert [line.split()[0] for line in lines] == ["What", "Watch", "Ask"], lines
