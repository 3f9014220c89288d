"""Reading a recipe: all problems at once, in words, with value and place; overrides; the default of everything."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonneteer.errors import RecipeError
from sonneteer.recipe import LoadedRecipe, Recipe, read_recipe

LEAST = "name: x\ndata: {sources: a.jsonl}\n"


def read(folder: Path, text: str, *overrides: str) -> LoadedRecipe:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return read_recipe(path, overrides)


def problems(folder: Path, text: str, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        read(folder, text, *overrides)
    return caught.value.problems


def test_a_recipe_that_says_only_its_name_and_its_data_has_all_defaults(tmp_path: Path) -> None:
    loaded = read(tmp_path, LEAST)
    assert loaded.recipe == Recipe.model_validate({"name": "x", "data": {"sources": [{"path": "a.jsonl"}]}})
    assert loaded.folder == tmp_path
    assert loaded.notes == []


def test_a_folder_stands_for_its_recipe_yaml(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(LEAST)
    assert read_recipe(tmp_path).path == tmp_path / "recipe.yaml"


@pytest.mark.parametrize(
    "sources",
    ["a.jsonl", "[a.jsonl]", "[{path: a.jsonl}]", "{path: a.jsonl}"],
)
def test_sources_may_be_a_path_a_list_of_paths_or_mappings(tmp_path: Path, sources: str) -> None:
    recipe = read(tmp_path, f"name: x\ndata: {{sources: {sources}}}").recipe
    assert [source.path for source in recipe.data.sources] == ["a.jsonl"]


def test_paths_and_mappings_may_be_mixed(tmp_path: Path) -> None:
    recipe = read(tmp_path, "name: x\ndata: {sources: [a.csv, {path: b.csv, tags: {topic: b}}]}").recipe
    assert [(source.path, source.tags) for source in recipe.data.sources] == [("a.csv", {}), ("b.csv", {"topic": "b"})]


def test_base_and_data_may_be_plain_values(tmp_path: Path) -> None:
    recipe = read(tmp_path, "name: x\nbase: Qwen/Qwen3-0.6B\ndata: [a.jsonl, b.jsonl]").recipe
    assert recipe.base.model == "Qwen/Qwen3-0.6B"
    assert [source.path for source in recipe.data.sources] == ["a.jsonl", "b.jsonl"]


def test_a_setting_may_be_written_with_its_whole_name(tmp_path: Path) -> None:
    assert read(tmp_path, LEAST + "training.rank: 5\n").recipe.training.rank == 5


def test_an_empty_section_keeps_its_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, LEAST + "training:\nserving: {}\n").recipe == read(tmp_path, LEAST).recipe


def test_an_empty_architecture_asks_for_a_new_model_with_the_default_one(tmp_path: Path) -> None:
    assert read(tmp_path, LEAST + "base: {from_scratch: {}}").recipe.base.from_scratch is not None
    assert read(tmp_path, LEAST + "base: {from_scratch: null}").recipe.base.from_scratch is None


def test_a_number_with_an_exponent_is_a_number_and_may_be_a_whole_one(tmp_path: Path) -> None:
    training = read(tmp_path, LEAST + "training: {learning_rate: 3e-4, max_steps: 1e3}").recipe.training
    assert training.learning_rate == 3e-4
    assert training.max_steps == 1000


# Problems -----------------------------------------------------------------------------------------


def test_all_problems_are_told_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        "name: My Model\n"
        "data:\n"
        "  sources: a.jsonl\n"
        "  remove_duplicates: no\n"
        "training:\n"
        "  learning_rat: 1e-4\n"
        "  rank: 0\n"
        "  epochs: many\n",
    )
    assert found == [
        "recipe.yaml, line 1: name is the text 'My Model', but must be lower-case letters, digits, '-' and '_', "
        "at most 63, the first a letter or a digit. For example 'my-model'.",
        "recipe.yaml, line 4: data.remove_duplicates is the text 'no', but must be true or false. Write false.",
        "recipe.yaml, line 6: training.learning_rat: no such setting. Did you mean 'learning_rate'?",
        "recipe.yaml, line 7: training.rank is 0, but must be at least 1.",
        "recipe.yaml, line 8: training.epochs is the text 'many', but must be a number.",
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("training: {epochs: true}", "training.epochs is true, but must be a number."),
        ("training: {rank: '16'}", "training.rank is the text '16', but must be a whole number. Remove the quotes."),
        ("training: {rank: 1.5}", "training.rank is 1.5, but must be a whole number."),
        ("training: {rank: }", "training.rank is empty, but must be a whole number."),
        ("training: {learning_rate: 0}", "training.learning_rate is 0, but must be greater than 0."),
        ("training: {learning_rate: .inf}", "training.learning_rate is inf, but must be a finite number."),
        ("training: {dropout: 1}", "training.dropout is 1, but must be less than 1."),
        ("evaluation: {confidence: [1]}", "evaluation.confidence is a list, but must be a number."),
        ("promotion: {better_on: chrf}", "promotion.better_on is the text 'chrf', but must be a list."),
        (
            "training: {schedule: cosin}",
            "training.schedule is the text 'cosin', but must be 'cosine', 'linear' or 'constant'. "
            "Did you mean 'cosine'?",
        ),
        (
            "training: {target_modules: [1, q]}",
            "training.target_modules is a list, but must be a list of texts or 'all-linear'.",
        ),
        ("base: {from_scratch: {heads: 0}}", "base.from_scratch.heads is 0, but must be at least 1."),
        (
            "base: {from_scratch: {heads: 3}}",
            "base.from_scratch.hidden_size is 256, but must be a multiple of heads, which is 3.",
        ),
        (
            "training: 5",
            "training must be a section: settings below it, indented. Its settings: method, ",
        ),
    ],
)
def test_a_wrong_value_is_told_with_the_value_and_what_it_must_be(tmp_path: Path, line: str, sentence: str) -> None:
    (found,) = problems(tmp_path, LEAST + line)
    assert found.startswith(f"recipe.yaml, line 3: {sentence}")


def test_a_problem_inside_a_list_is_found_where_it_stands(tmp_path: Path) -> None:
    text = "name: x\ndata:\n  sources:\n    - path: a\n    - path: b\n      tags: {year: 2024}\n    - pth: c\n"
    assert problems(tmp_path, text) == [
        "recipe.yaml, line 6: data.sources[1].tags.year is 2024, but must be a text. Put it in quotes: '2024'.",
        "recipe.yaml, line 7: data.sources[2].path is missing. File, folder or pattern (logs/*.jsonl.gz) from the "
        "recipe's folder; a bucket's or database's URL; hf:org/name.",
        "recipe.yaml, line 7: data.sources[2].pth: no such setting. Did you mean 'path'?",
    ]


def test_shares_that_leave_nothing_to_learn_are_refused(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "name: x\ndata: {sources: a, validation_share: 0.5, test_share: 0.5}")
    assert "are 1 together: nothing is left to learn from" in found


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "training: {max_tokens: 5}",
            "It belongs to 'data': write it below 'data:', indented, or --data.max_tokens on a",
        ),
        (
            "rank: 5",
            "below 'training:', indented, or --training.rank on a command line.",
        ),
        ("data: {batch_size: 5}", "It belongs to 'training' or 'evaluation'"),
        ("training: {seed: 5}", "It belongs to the top of the recipe."),
        ("learning_rat: 5", "Did you mean 'training.learning_rate'?"),
        ("trainnig: {rank: 5}", "Did you mean 'training'?"),
        ("lora_rnk: 5", "Did you mean 'lora_rank', which is training.rank here?"),
        (
            "zzz: 5",
            "There is: name, seed, synthesis, data, privacy, base, training, search, evaluation, promotion, serving, "
            "monitoring, improvement.",
        ),
        ("serving: {zzz: 5}", "In 'serving' there is: host, port, "),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest_name_or_its_place(
    tmp_path: Path, line: str, sentence: str
) -> None:
    least = "name: x\n" if line.startswith("data") else LEAST
    assert sentence in problems(tmp_path, least + line)[0]


def test_what_is_missing_is_told_with_what_it_is_for(tmp_path: Path) -> None:
    assert problems(tmp_path, "seed: 1") == [
        "recipe.yaml: name is missing. Name of the data set, the runs and the model, in lower case.",
        "recipe.yaml: data.sources is missing. Files to read. A plain path, or a list of paths, will do.",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("", "is empty"), ("# nothing\n", "is empty"), ("- a\n", "not of a list"), ("word", "not of a single value")],
)
def test_a_file_without_settings_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in problems(tmp_path, text)[0]


def test_a_missing_file_is_a_recipe_error_that_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="sonneteer init"):
        read_recipe(tmp_path / "none.yaml")


def test_a_file_that_is_no_utf_8_is_refused_with_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"name: \xff")
    with pytest.raises(RecipeError, match="byte 7 is not UTF-8"):
        read_recipe(path)


def test_a_byte_order_mark_is_no_part_of_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + LEAST.encode())
    assert read_recipe(path).recipe.name == "x"


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_whatever_a_file_holds_it_is_a_recipe_or_a_recipe_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "recipe.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(RecipeError):
        read_recipe(path)


# Overrides ----------------------------------------------------------------------------------------


def test_what_the_command_line_says_counts(tmp_path: Path) -> None:
    loaded = read(
        tmp_path,
        LEAST + "training: {rank: 4, patience: 2}\n",
        *("--training.rank", "8", "--training.patience=null", "--data.sources", "[b.jsonl, c.jsonl]"),
        *("--training.learning-rate", "1e-4", "--promotion.not_worse_on.chrf", "0.5"),
    )
    training = loaded.recipe.training
    assert (training.rank, training.patience, training.learning_rate) == (8, None, 1e-4)
    assert [source.path for source in loaded.recipe.data.sources] == ["b.jsonl", "c.jsonl"]


def test_of_two_words_on_the_command_line_the_last_counts(tmp_path: Path) -> None:
    assert read(tmp_path, LEAST, "--seed", "1", "--seed", "2").recipe.seed == 2


def test_a_whole_section_may_come_from_the_command_line(tmp_path: Path) -> None:
    training = read(tmp_path, LEAST, "--training", "{rank: 3, alpha: 6}").recipe.training
    assert (training.rank, training.alpha) == (3, 6.0)


def test_emptying_a_section_on_the_command_line_forgets_what_the_file_says_in_it(tmp_path: Path) -> None:
    text = LEAST + "base: {from_scratch: {layers: 2}}\ntraining: {rank: 3}\n"
    recipe = read(tmp_path, text, "--base.from_scratch", "null", "--training=").recipe
    assert recipe == read(tmp_path, LEAST).recipe


def test_problems_of_the_command_line_and_of_the_file_are_told_together(tmp_path: Path) -> None:
    found = problems(
        tmp_path, LEAST + "zz: 1\n", "--training.rnk", "3", "--training.epochs", "-1", "stray", "--seed", "[1", "--name"
    )
    assert found[0].startswith("recipe.yaml, line 3: zz: no such setting.")
    assert set(found[1:]) == {
        "command line, --seed: cannot be read. A list in brackets is not closed with ']'.",
        "command line: --name lacks a value, such as --name 1.",
        "command line: 'stray' is no setting. Settings look like --training.learning_rate 1e-4.",
        "command line: training.epochs is -1, but must be greater than 0.",
        "command line: training.rnk: no such setting. Did you mean 'rank'?",
    }
