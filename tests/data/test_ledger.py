"""Every row has one fate, or it is our mistake."""

from __future__ import annotations

import pytest

from sonneteer.data.ledger import Ledger, from_bytes, to_bytes
from sonneteer.records import LedgerEntry


def entry(source: str, row: int) -> LedgerEntry:
    return LedgerEntry(source=source, row=row, fate="train", example_id="e")


def test_entries_come_in_the_order_of_sources_and_rows() -> None:
    ledger = Ledger()
    ledger.open("b.jsonl", 2)
    ledger.open("a.jsonl", 1)
    for one in (entry("a.jsonl", 1), entry("b.jsonl", 9), entry("b.jsonl", 3)):
        ledger.enter(one)
    assert [(one.source, one.row) for one in ledger.close()] == [("b.jsonl", 3), ("b.jsonl", 9), ("a.jsonl", 1)]


def test_two_fates_for_a_row_are_our_mistake() -> None:
    ledger = Ledger()
    ledger.open("a.jsonl", 2)
    ledger.enter(entry("a.jsonl", 1))
    with pytest.raises(AssertionError, match="two fates"):
        ledger.enter(entry("a.jsonl", 1))


def test_a_row_without_a_fate_is_our_mistake() -> None:
    ledger = Ledger()
    ledger.open("a.jsonl", 2)
    ledger.enter(entry("a.jsonl", 1))
    with pytest.raises(AssertionError, match="fates"):
        ledger.close()


def test_a_fate_for_no_row_is_our_mistake() -> None:
    ledger = Ledger()
    ledger.open("a.jsonl", 1)
    ledger.enter(entry("b.jsonl", 1))
    with pytest.raises(AssertionError, match="fates"):
        ledger.close()


def test_the_ledger_is_read_back_as_it_was_written() -> None:
    entries = [
        entry("a.jsonl", 1),
        LedgerEntry(source="ä\u2028.jsonl", row=2, fate="broken", reason="the line\nis torn"),
    ]
    assert from_bytes(to_bytes(entries)) == entries


def test_what_was_noted_of_a_row_stands_beside_its_fate() -> None:
    ledger = Ledger()
    ledger.open("a.jsonl", 2)
    ledger.remark("a.jsonl", 1, "white space was tidied")
    ledger.enter(entry("a.jsonl", 1))
    ledger.enter(entry("a.jsonl", 2))
    ledger.remark("a.jsonl", 1, "nearly the same as a.jsonl:2")
    first, second = ledger.close()
    assert first.remarks == ("white space was tidied", "nearly the same as a.jsonl:2")
    assert second.remarks == ()
    assert ledger.totals() == {"train": 2}
