"""Single rows, proofs and changes are told to people and to machines."""

from __future__ import annotations

import io
from collections.abc import Iterable

import pytest
from rich.console import Console, RenderableType

from sonneteer.cli.account import (
    changes_page,
    proof_document,
    proof_page,
    refusal_page,
    rows_document,
    rows_of_fate,
    rows_page,
)
from sonneteer.data import Change, Proof
from sonneteer.data.check import Leak
from sonneteer.errors import RecipeError
from sonneteer.records import LedgerEntry

ENTRIES = [
    LedgerEntry(source="a.jsonl", row=1, fate="train", remarks=("white space was tidied",)),
    *(LedgerEntry(source="a.jsonl", row=row, fate="dropped", reason="rule fewest_words: 2") for row in (2, 3, 4)),
    LedgerEntry(source="a.jsonl", row=5, fate="broken", reason="torn"),
]


def shown(page: Iterable[RenderableType]) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(*page, sep="\n")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_rows_of_one_fate_are_listed_with_their_reasons() -> None:
    rows = rows_of_fate(ENTRIES, "dropped")
    page = shown(rows_page(rows, 2))
    assert "3 rows: broke a rule" in page
    assert "3 x rule fewest_words" in page
    assert "a.jsonl:3  rule fewest_words: 2" in page
    assert "a.jsonl:4" not in page
    document = rows_document(rows, 2)["fates"]["dropped"]
    assert (document["rows"], document["why"], len(document["shown"])) == (3, {"rule fewest_words": 3}, 2)


def test_reasons_that_differ_in_a_place_a_number_or_a_value_are_one() -> None:
    reasons = ["says the same as a.jsonl:1", "says the same as b.jsonl:23", "message 2: 'x' is no role"]
    reasons += ["message 7: 'y' is no role", "23.5% of it, more than 9", "1% of it, more than 10", "torn"]
    entries = [LedgerEntry(source="a", row=i, fate="broken", reason=reason) for i, reason in enumerate(reasons)]
    assert rows_document({"broken": entries}, 0)["fates"]["broken"]["why"] == {
        "says the same as …": 2,
        "message …: … is no role": 2,
        "… of it, more than …": 2,
        "torn": 1,
    }


def test_refused_rows_are_not_taken_for_a_data_set() -> None:
    assert refusal_page("") == []
    page = shown(refusal_page("9 of 20 rows are 'dropped'"))
    assert "Not frozen" in page
    assert "9 of 20 rows" in page


def test_without_a_fate_all_that_there_are_are_listed() -> None:
    assert list(rows_of_fate(ENTRIES, None)) == ["train", "dropped", "broken"]
    assert "white space was tidied" in shown(rows_page(rows_of_fate(ENTRIES, None), 1))


def test_rows_are_found_by_what_is_said_of_them() -> None:
    found = rows_of_fate(ENTRIES, None, "Tidied")
    assert [(fate, [entry.row for entry in rows]) for fate, rows in found.items()] == [("train", [1])]
    assert rows_of_fate(ENTRIES, None, "rule")["dropped"] == ENTRIES[1:4]


def test_an_unknown_fate_names_all() -> None:
    with pytest.raises(RecipeError, match="no such fate"):
        rows_of_fate(ENTRIES, "eaten")


def test_a_proof_says_what_leaks_or_that_nothing_does() -> None:
    assert "Checked: of 9 frozen examples none" in shown(proof_page(Proof(9, [], [])))
    leaking = Proof(9, [Leak("question", "train, test", 2, 4, ["a.jsonl:1 = b.jsonl:7"])], ["x is not what was frozen"])
    page = shown(proof_page(leaking))
    assert "a.jsonl:1 = b.jsonl:7" in page
    assert "x is not what was frozen" in page
    assert proof_document(leaking)["leaks"][0]["values"] == 2
    assert not proof_document(leaking)["is_clean"]


def test_changes_are_a_table_or_a_sentence() -> None:
    assert "exactly the same" in shown(changes_page([]))
    assert "a.jsonl:9" in shown(changes_page([Change("1 examples came to train", "", "train", ["a.jsonl:9"])]))
