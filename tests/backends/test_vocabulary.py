"""New words from the recipe to the served model, on the bundled base and a small medical domain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sonneteer import lifecycle, preparation
from sonneteer.chat import Options
from sonneteer.cli import main
from sonneteer.errors import RecipeError
from sonneteer.progress import Silent
from sonneteer.recipe import read_recipe
from sonneteer.records import Message, Prompt, Run
from sonneteer.store import Store

RECIPE = """
name: ward
data: {sources: notes.jsonl, validation_share: 0.2, test_share: 0.2}
base: {vocabulary: {new_terms: 12, least_saving: 2}}
training: {max_steps: 4, learning_rate: 0.01, rank: 4, batch_size: 8}
promotion: {better_on: [bits_per_character]}
evaluation: {max_answer_tokens: 4, max_examples: 4}
"""
DRUGS = ["warfarin", "heparin", "apixaban", "rivaroxaban", "dabigatran", "clopidogrel"]
FINDINGS = ["haematuria", "epistaxis", "bruising", "thrombocytopenia"]


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ward")
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Patient on {drug}, now {finding}. What next?"},
                {"role": "assistant", "content": f"Stop {drug}, check anticoagulation, and document the {finding}."},
            ]
        }
        for drug in DRUGS
        for finding in FINDINGS
    ]
    (folder / "notes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


def run(capsys: pytest.CaptureFixture[str], folder: Path, command: str, *words: str) -> dict[str, Any]:
    place = [str(folder / "recipe.yaml"), "--workspace", str(folder / "workspace"), "--json"]
    code = main([command, *place, *words])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code in (0, 2, 4), document
    return document


def test_words_are_measured_accepted_learned_certified_and_served(
    ward: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = run(capsys, ward, "vocabulary", "--write", str(ward / "words.txt"))["vocabulary"]
    assert before["proposals"][0]["word"] == "anticoagulation"
    assert before["bits_per_character"] is None
    side = before["fertility"]["validation"]
    assert side["tokens_with_terms"] < 0.8 * side["tokens"]
    assert "anticoagulation  # saves" in (ward / "words.txt").read_text()
    report = run(capsys, ward, "run")["report"]
    assert "bits_per_character" in report["unavailable"]["perplexity"]
    after = run(capsys, ward, "vocabulary")["vocabulary"]
    assert after["bits_per_character"]["tuned"] < after["bits_per_character"]["base with the new tokens"]
    assert run(capsys, ward, "certify")["status"] == "done"
    loaded, store = read_recipe(ward), Store(ward / "workspace")
    chat = lifecycle.open_chat(loaded, store, "tuned")
    prompt = Prompt(messages=(Message(role="user", text="Patient on warfarin, now bruising. What next?"),))
    base = lifecycle.open_chat(loaded, store, "base")
    assert chat.count_tokens(prompt) < base.count_tokens(prompt)
    assert chat.answer([prompt], Options(max_tokens=4))[0].answer_tokens <= 4


def test_the_data_set_is_the_same_with_and_without_new_words_and_the_plan_counts_their_rows(ward: Path) -> None:
    store = Store(ward / "workspace")
    plain = read_recipe(ward, ["--base.vocabulary.new_terms=0"])
    assert preparation.prepare(plain, store, Silent()).id == preparation.prepare(read_recipe(ward), store, Silent()).id
    few, more = (lifecycle.plan(loaded, store, Silent()) for loaded in (plain, read_recipe(ward)))
    assert more.tokens.naive < few.tokens.naive
    assert (more.trained_parameters - few.trained_parameters) % 256 == 0
    assert more.trained_parameters > few.trained_parameters


def test_a_changed_file_of_words_is_another_run(ward: Path) -> None:
    loaded, store = read_recipe(ward, ["--base.vocabulary.terms=own.txt", "--training.max_steps=1"]), Store(ward / "w")
    (ward / "own.txt").write_text("warfarin\n")
    first = lifecycle.train(loaded, store, Silent())
    (ward / "own.txt").write_text("warfarin\nheparin\n")
    assert store.get(Run, lifecycle.train(loaded, store, Silent()).run_id) != store.get(Run, first.run_id)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--promotion.better_on=[perplexity]"], "bits_per_character in its place"),
        (["--training.objective=distillation", "--training.distillation.teacher=x"], "knows nothing of the new tokens"),
        (["--training.method=full", "--training.layers=last 1"], "need the embeddings to learn"),
        (["--base.from_scratch={}"], "makes its own from the training split"),
    ],
)
def test_what_new_words_do_not_go_with_is_refused(ward: Path, words: list[str], complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        read_recipe(ward, words)
