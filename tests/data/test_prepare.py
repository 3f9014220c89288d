"""From dirty files to frozen splits, with the fate of every row."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonneteer.data import prepare, read_ledger, read_split
from sonneteer.data.shapes import SHAPES
from sonneteer.errors import DataError, RecipeError
from sonneteer.recipe.sections import CleanSettings, Recipe, SourceSettings
from sonneteer.records import KEPT, DatasetVersion, Example
from sonneteer.store import Store
from tests.data.writing import Noting, WordReader, question, recipe_of, write_lines


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "workspace")


def all_examples(store: Store, dataset: DatasetVersion) -> list[Example]:
    return [example for split in KEPT for example in read_split(store, dataset, split)]


def prepared(folder: Path, store: Store, rows: list[Any], **settings: Any) -> DatasetVersion:
    write_lines(folder / "x.jsonl", rows)
    return prepare(recipe_of("x.jsonl", **settings), folder, store, WordReader())


def test_every_row_has_its_fate(tmp_path: Path, store: Store) -> None:
    rows = [
        *(question(i) for i in range(20)),
        question(3),
        "torn",
        {"prompt": "long", "completion": "word " * 50},
        {"messages": [{"role": "user", "content": "hm"}, {"role": "assistant", "content": "x", "weight": 0}]},
    ]
    dataset = prepared(tmp_path, store, rows, max_tokens=20, bad_rows_share=0.5)
    ledger = read_ledger(store, dataset)
    assert [entry.row for entry in ledger] == list(range(1, 25))
    assert [entry.fate for entry in ledger[20:]] == ["duplicate", "broken", "too_long", "broken"]
    assert dataset.totals == Counter(entry.fate for entry in ledger)
    assert dataset.rows == 24


def test_the_splits_hold_what_the_ledger_says(tmp_path: Path, store: Store) -> None:
    dataset = prepared(tmp_path, store, [question(i, topic="ab"[i % 2]) for i in range(40)])
    fates = {entry.example_id: entry.fate for entry in read_ledger(store, dataset)}
    for split in KEPT:
        examples = read_split(store, dataset, split)
        assert len(examples) == dataset.splits[split].examples == dataset.totals[split]
        assert {fates[example.id] for example in examples} == {split}
        assert dataset.token_counts[split] == 7 * len(examples)
        assert dataset.learned_token_counts[split] == 3 * len(examples)
    assert dataset.tag_counts == {"topic": {"a": 20, "b": 20}, "source": {"x.jsonl": 40}}


def test_examples_come_back_exactly(tmp_path: Path, store: Store) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"n": [1, 2.5, None, "ä\u2028"]}}}
    call = {"id": "c", "function": {"name": "f", "arguments": {"deep": [{"x": 1e300}]}}}
    turns = [
        {"role": "user", "content": "\u0000 \u2028 🙂"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "", "tool_call_id": "c"},
        {"role": "assistant", "content": " padded \n", "weight": 1},
    ]
    odd = {"tools": [tool], "reference_answer": {"value": -0.5, "none": None}, "topic": "t"}
    rows = [{**odd, "messages": [{"role": "user", "content": f"q{i}"}, *turns]} for i in range(3)]
    dataset = prepared(tmp_path, store, rows, clean=CleanSettings(unicode=False, white_space=False))
    tags = {"source": "x.jsonl", "topic": "t"}
    expected = [SHAPES["chat"].read(row).model_copy(update={"tags": tags}) for row in rows]
    assert sorted(all_examples(store, dataset), key=lambda example: example.messages[0].text) == expected


def test_the_same_again_is_the_same_data_set_and_changes_nothing(tmp_path: Path, store: Store) -> None:
    rows = [question(i) for i in range(20)]
    first = prepared(tmp_path, store, rows)
    files = {path: path.stat().st_mtime_ns for path in (store.root / "files").rglob("*")}
    assert prepared(tmp_path, store, rows) == first
    assert {path: path.stat().st_mtime_ns for path in (store.root / "files").rglob("*")} == files
    assert store.find(DatasetVersion) == [first]


def test_another_workspace_gives_the_same_names(tmp_path: Path, store: Store) -> None:
    rows = [question(i) for i in range(20)]
    first, second = prepared(tmp_path, store, rows), prepared(tmp_path, Store(tmp_path / "other"), rows)
    assert (first.id, first.splits, first.ledger_file) == (second.id, second.splits, second.ledger_file)


def test_settings_that_change_nothing_find_the_same_data_set_with_its_date(tmp_path: Path, store: Store) -> None:
    rows = [question(i) for i in range(20)]
    first, second = prepared(tmp_path, store, rows), prepared(tmp_path, store, rows, max_tokens=999)
    assert (first.id, first.created_at) == (second.id, second.created_at)
    assert first.prepared_from != second.prepared_from


@pytest.mark.parametrize("change", [{"seed": 1}, {"test_share": 0.3}, {"remove_duplicates": False}])
def test_another_result_is_another_data_set(tmp_path: Path, store: Store, change: dict[str, Any]) -> None:
    rows = [question(i) for i in range(20)] + [question(1)]
    assert prepared(tmp_path, store, rows).id != prepared(tmp_path, store, rows, **change).id


def test_a_lost_file_is_made_again(tmp_path: Path, store: Store) -> None:
    rows = [question(i) for i in range(20)]
    first = prepared(tmp_path, store, rows)
    store.path(first.splits["test"].file).unlink()
    assert prepared(tmp_path, store, rows) == first
    assert len(read_split(store, first, "test")) == first.splits["test"].examples


def test_another_base_model_reads_anew(tmp_path: Path, store: Store) -> None:
    class Halves(WordReader):
        def render(self, example: Example) -> Any:
            return [sequence for sequence in super().render(example) for _ in range(2)]

    write_lines(tmp_path / "x.jsonl", [question(i) for i in range(20)])
    recipe = recipe_of("x.jsonl")
    first = prepare(recipe, tmp_path, store, WordReader())
    second = prepare(recipe, tmp_path, store, Halves("halves"))
    assert second.token_counts["train"] == 2 * first.token_counts["train"]


def test_sources_are_told_apart_and_remembered(tmp_path: Path, store: Store) -> None:
    write_lines(tmp_path / "a.jsonl", [question(i) for i in range(10)])
    write_lines(tmp_path / "b.jsonl", [{"text": f"story {i}"} for i in range(10)])
    recipe = recipe_of("a.jsonl", SourceSettings(path="b.jsonl", tags={"topic": "stories"}))
    dataset = prepare(recipe, tmp_path, store, WordReader())
    assert [(s.path, s.format, s.rows) for s in dataset.sources] == [
        ("a.jsonl", "prompt-completion", 10),
        ("b.jsonl", "text", 10),
    ]
    assert dataset.tag_counts["topic"] == {"stories": 10}


def test_a_duplicate_in_another_file_names_file_and_row(tmp_path: Path, store: Store) -> None:
    write_lines(tmp_path / "a.jsonl", [question(i) for i in range(10)])
    write_lines(tmp_path / "b.jsonl", [question(7)])
    ledger = read_ledger(store, prepare(recipe_of("a.jsonl", "b.jsonl"), tmp_path, store, WordReader()))
    assert (ledger[-1].fate, ledger[-1].reason) == ("duplicate", "says the same as a.jsonl:8")


def test_two_answers_to_one_question_are_never_on_two_sides(tmp_path: Path, store: Store) -> None:
    rows = [{"prompt": f"q{i}", "completion": f"a{k}"} for i in range(20) for k in range(2)]
    dataset = prepared(tmp_path, store, rows)
    asked = [{example.prompt for example in read_split(store, dataset, split)} for split in KEPT]
    assert sum(map(len, asked)) == len(asked[0] | asked[1] | asked[2]) == 20


def test_a_split_is_a_parquet_file_that_others_can_open(tmp_path: Path, store: Store) -> None:
    dataset = prepared(tmp_path, store, [question(i) for i in range(20)])
    table = parquet.read_table(store.path(dataset.splits["train"].file)).to_pylist()
    assert [row["id"] for row in table] == [example.id for example in read_split(store, dataset, "train")]
    assert json.loads(table[0]["example"])["messages"][0]["role"] == "user"


def test_tags_of_many_values_are_not_counted(tmp_path: Path, store: Store) -> None:
    dataset = prepared(tmp_path, store, [question(i, person=str(i)) for i in range(60)])
    assert set(dataset.tag_counts) == {"source"}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"prompt": f"q{i}", "completion": "a", "label": False} for i in range(9)], "Of 9 rows: 9 disliked"),
        ([{"prompt": f"q{i}", "completion": "word " * 99} for i in range(9)], "Of 9 rows: 9 too long"),
        ([question(i) for i in range(2)], "2 examples are too few"),
        ([], "x.jsonl is empty"),
    ],
)
def test_data_that_teaches_nothing_is_refused_in_words(
    tmp_path: Path, store: Store, rows: list[Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        prepared(tmp_path, store, rows, max_tokens=20)
    assert store.find(DatasetVersion) == []


def test_without_a_source_there_is_nothing_to_prepare(tmp_path: Path, store: Store) -> None:
    with pytest.raises(RecipeError, match=r"data\.sources is empty"):
        prepare(recipe_of(), tmp_path, store, WordReader())


def test_a_file_named_twice_is_refused(tmp_path: Path, store: Store) -> None:
    write_lines(tmp_path / "x.jsonl", [question(1)])
    with pytest.raises(RecipeError, match="more than once"):
        prepare(recipe_of("x.jsonl", "x.jsonl"), tmp_path, store, WordReader())


def test_notes_ledger_and_errors_keep_the_words_of_rows_to_themselves(tmp_path: Path, store: Store) -> None:
    secret = "Jane Doe, 4 Privet Drive"
    rows = [
        *({"prompt": f"{secret} {i}", "completion": secret, "document": secret * 9} for i in range(9)),
        {"prompt": secret, "completion": {secret: 1}},
        {"prompt": [{"role": secret, "content": secret}], "completion": secret},
        json.dumps({"prompt": secret})[:-3],
    ]
    write_lines(tmp_path / "x.jsonl", rows)
    noting = Noting()
    recipe = recipe_of("x.jsonl", bad_rows_share=0.5, keep_together=())
    dataset = prepare(recipe, tmp_path, store, WordReader(), noting)
    ledger = store.path(dataset.ledger_file).read_text()
    with pytest.raises(DataError) as caught:
        prepare(recipe_of("x.jsonl", bad_rows_share=0), tmp_path, store, WordReader(), noting)
    assert dataset.totals["broken"] == 3
    for told in (ledger, str(caught.value), "".join(noting.notes), dataset.model_dump_json()):
        assert "Jane" not in told
        assert "Privet" not in told


# Properties ------------------------------------------------------------------------------------

numbers = st.integers(0, 25)
dirt = st.one_of(
    numbers.map(question),
    numbers.map(lambda n: {"prompt": f"question {n}", "completion": "word " * n, "person": str(n % 4)}),
    numbers.map(lambda n: {"prompt": f"question {n}", "completion": "yes", "label": n % 2 == 0}),
    numbers.map(lambda n: {"prompt": f"unspeakable {n}", "completion": "yes"}),
    st.dictionaries(
        st.sampled_from(["prompt", "completion", "text"]), st.one_of(st.none(), st.integers(), st.text(max_size=9))
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=20),
)


@given(rows=st.lists(dirt, min_size=1, max_size=40), remove_duplicates=st.booleans(), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_the_ledger_balances_whatever_the_file_holds(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], remove_duplicates: bool, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("dirty")
    store = Store(folder / "workspace")
    write_lines(folder / "x.jsonl", rows)
    recipe: Recipe = recipe_of(
        SourceSettings(path="x.jsonl", format="prompt-completion"),
        seed=seed,
        remove_duplicates=remove_duplicates,
        bad_rows_share=1,
        max_tokens=20,
    )
    try:
        dataset = prepare(recipe, folder, store, WordReader())
    except DataError:
        return
    lines = (folder / "x.jsonl").read_bytes().decode().split("\n")
    ledger = read_ledger(store, dataset)
    assert [entry.row for entry in ledger] == [number for number, line in enumerate(lines, 1) if line.strip()]
    assert dataset.totals == Counter(entry.fate for entry in ledger)
    kept = [entry.example_id for entry in ledger if entry.fate in KEPT]
    assert sorted(map(str, kept)) == sorted(example.id for example in all_examples(store, dataset))
