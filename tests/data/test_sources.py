"""Sources are recognised, renamed and tagged, and too many broken rows are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sonneteer.data.files import load
from sonneteer.data.ledger import Ledger
from sonneteer.data.sources import Gathered, gather, refuse_repeated
from sonneteer.errors import DataError, RecipeError
from sonneteer.progress import Progress, Silent
from sonneteer.recipe.sections import DataSettings, SourceSettings
from sonneteer.records import fingerprint_of
from tests.data.writing import Noting, question, write_lines

SILENT = Silent()


def gathered(
    folder: Path, source: SourceSettings, progress: Progress = SILENT, bad_rows_share: float = 0.5
) -> Gathered:
    data = DataSettings(sources=(source,), bad_rows_share=bad_rows_share)
    return gather(data, [load(folder / source.path)], [], Ledger(), progress)


def tags_of(folder: Path, row: dict[str, Any], **tags: str) -> dict[str, str]:
    write_lines(folder / "support.jsonl", [{"prompt": "a", "completion": "b", **row}])
    return gathered(folder, SourceSettings(path="support.jsonl", tags=tags)).candidates[0].example.tags


def test_the_file_is_the_source_unless_the_row_names_one(tmp_path: Path) -> None:
    assert tags_of(tmp_path, {}) == {"source": "support.jsonl"}
    assert tags_of(tmp_path, {"source": "mail"}) == {"source": "mail"}


def test_known_fields_and_tags_of_the_row_become_tags_and_the_recipes_win(tmp_path: Path) -> None:
    row = {"person": 7, "time": "2026-03-01", "topic": "refund", "group": None, "tags": {"mood": "calm", "topic": "x"}}
    tags = tags_of(tmp_path, row, mood="angry")
    assert tags == {
        "source": "support.jsonl",
        "person": "7",
        "time": "2026-03-01",
        "topic": "x",
        "mood": "angry",
    }


def test_tags_that_are_no_words_are_left_out(tmp_path: Path) -> None:
    assert tags_of(tmp_path, {"tags": "BIL", "document": ["x"], "person": " "}) == {"source": "support.jsonl"}
    assert tags_of(tmp_path, {"tags": {"a": None, "b": [1], "c": 2}}) == {"source": "support.jsonl", "c": "2"}


def test_a_whole_document_in_a_tags_place_is_named_by_its_fingerprint(tmp_path: Path) -> None:
    document = "secret words " * 20
    assert tags_of(tmp_path, {"document": document})["document"] == fingerprint_of(document.strip())


def test_fields_under_other_names_are_read(tmp_path: Path) -> None:
    write_lines(tmp_path / "x.jsonl", [{"text": "Where is my card?", "label": "card_arrival"}])
    source = SourceSettings(path="x.jsonl", fields={"prompt": "text", "completion": "label"})
    found = gathered(tmp_path, source)
    assert found.sources[0].format == "prompt-completion"
    assert found.candidates[0].example.answer.text == "card_arrival"


def test_a_renamed_field_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    write_lines(tmp_path / "x.jsonl", [question(1)])
    with pytest.raises(RecipeError, match=r"fields\.prompt: .* has no field 'promt'\. Did you mean 'prompt'"):
        gathered(tmp_path, SourceSettings(path="x.jsonl", fields={"prompt": "promt"}))


def test_all_wrong_fields_are_named_at_once(tmp_path: Path) -> None:
    write_lines(tmp_path / "x.jsonl", [{"Customer": "a", "Agent": "b"}])
    with pytest.raises(RecipeError) as caught:
        gathered(tmp_path, SourceSettings(path="x.jsonl", fields={"prompt": "customer", "completions": "Agnet"}))
    unknown, *missing = caught.value.problems
    assert "fields.completions: no shape reads a field of this name. Did you mean 'completion'?" in unknown
    assert "no field 'customer'. Did you mean 'Customer'? Its columns: Agent, Customer." in missing[0]
    assert "no field 'Agnet'. Did you mean 'Agent'?" in missing[1]


def test_a_label_of_zeros_and_ones_is_asked_about(tmp_path: Path) -> None:
    write_lines(tmp_path / "x.jsonl", [question(i) | {"label": i % 2} for i in range(4)])
    noting = Noting()
    gathered(tmp_path, SourceSettings(path="x.jsonl"), noting)
    assert noting.notes[0].endswith("If 'label' says whether people liked the answer: `format: unpaired`.")
    write_lines(tmp_path / "x.jsonl", [question(i) | {"label": i} for i in range(4)])
    gathered(tmp_path, SourceSettings(path="x.jsonl"), noting)
    assert noting.notes[1].endswith("Not used: label.")


def test_what_was_found_and_what_is_not_used_is_said(tmp_path: Path) -> None:
    write_lines(tmp_path / "x.jsonl", [{"text": "secret", "label": "secret"}] * 2)
    noting = Noting()
    gathered(tmp_path, SourceSettings(path="x.jsonl"), noting)
    assert noting.notes == [
        "x.jsonl: 2 rows, read as 'text': the first 2 rows all have this shape. Not used: label. "
        "To learn one as the answer: `fields: {prompt: text, completion: ...}`."
    ]


def test_a_format_that_the_recipe_names_is_not_guessed(tmp_path: Path) -> None:
    row = {"prompt": "a", "completion": "b", "text": "plain"}
    write_lines(tmp_path / "x.jsonl", [row])
    found = gathered(tmp_path, SourceSettings(path="x.jsonl", format="text"))
    assert found.candidates[0].example.is_text


def test_an_unknown_format_names_the_nearest_and_all(tmp_path: Path) -> None:
    write_lines(tmp_path / "x.jsonl", [question(1)])
    with pytest.raises(
        RecipeError, match=r"'alpacca' is no known format\. Did you mean 'alpaca'\? Known are auto, exchange, bedrock"
    ):
        gathered(tmp_path, SourceSettings(path="x.jsonl", format="alpacca"))


def test_broken_rows_beyond_the_share_are_listed_with_file_line_and_reason(tmp_path: Path) -> None:
    write_lines(tmp_path / "x.jsonl", [question(0), *({"prompt": f"secret {i}"} for i in range(12))])
    with pytest.raises(DataError) as caught:
        gathered(tmp_path, SourceSettings(path="x.jsonl"))
    said = str(caught.value)
    assert said.startswith("12 of 13 rows cannot be read, more than data.bad_rows_share allows (50%):\n  x.jsonl:2: ")
    assert said.count("'completion' is missing") == 10
    assert "and 2 more" in said
    assert "secret" not in said


def test_broken_rows_up_to_the_share_are_left_out(tmp_path: Path) -> None:
    write_lines(tmp_path / "x.jsonl", ["{", question(1)])
    assert len(gathered(tmp_path, SourceSettings(path="x.jsonl")).candidates) == 1


def test_a_file_without_one_readable_row_is_refused(tmp_path: Path) -> None:
    write_lines(tmp_path / "x.jsonl", ["{", "["])
    with pytest.raises(DataError, match=r"none of its rows can be read:\n  row 1: "):
        gathered(tmp_path, SourceSettings(path="x.jsonl"), bad_rows_share=1)


def test_a_file_listed_twice_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"x\.jsonl is listed more than once"):
        refuse_repeated([SourceSettings(path="x.jsonl"), SourceSettings(path="x.jsonl", format="text")])
