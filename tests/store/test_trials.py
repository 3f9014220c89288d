"""The journal of a search keeps its order, whoever writes, and searches do not see each other's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sonneteer.store import Store


def test_entries_come_back_in_order_from_any_place_on(tmp_path: Path) -> None:
    journal = Store(tmp_path).trials
    journal.append("one", [{"a": 1}, {"a": 2}])
    journal.append("other", [{"b": 1}])
    journal.append("one", [{"a": 3}])
    again = Store(tmp_path).trials
    assert again.read("one") == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert again.read("one", 2) == [{"a": 3}]
    assert again.read("other") == [{"b": 1}]
    assert again.read("unknown") == []


def test_several_writers_lose_nothing_and_keep_what_belongs_together(tmp_path: Path) -> None:
    Store(tmp_path)

    def write(writer: int) -> None:
        for turn in range(5):
            Store(tmp_path).trials.append("one", [{"of": [writer, turn], "part": part} for part in range(3)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    entries = Store(tmp_path).trials.read("one")
    assert [entry["part"] for entry in entries] == [0, 1, 2] * 20
    for writer in range(4):
        assert [e["of"][1] for e in entries if e["of"][0] == writer and not e["part"]] == [0, 1, 2, 3, 4]
