"""The papers on the table."""

from __future__ import annotations

from sonneteer.records import Example, Message


def test_a_changed_copy_of_an_example_has_an_id_of_its_own() -> None:
    example = Example(messages=(Message(role="user", text="Where?"), Message(role="assistant", text="Here.")))
    before = example.id
    other = example.with_answer(Message(role="assistant", text="There."))
    assert other.id == Example(messages=other.messages).id != before
    assert example.id == before
