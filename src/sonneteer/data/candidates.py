"""Examples on their way through the preparation, packed, so that a million of them fit into memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast, overload

from sonneteer.data.questions import label_of, question_of
from sonneteer.records import Example, Fate, LedgerEntry, SplitName


class Packed(NamedTuple):
    """An example as a line of JSON, and what is often asked of it, so that it need not be unpacked."""

    line: str
    id: str
    question: str
    """By which those are known that ask the same."""
    label: str
    """The answer, where it is short enough for a label."""


class Candidate:
    """An example on its way through the preparation, and the row that it came from."""

    __slots__ = ("_line", "cluster", "id", "label", "question", "row", "side", "source")

    def __init__(self, source: str, row: int, packed: Packed, side: SplitName | None = None) -> None:
        self.source = source
        self.row = row
        self.side = side
        """The side of the split that its source is officially for."""
        self.cluster = ""
        """The fingerprint that it shares with its near-duplicates."""
        self.id = packed.id
        self.question = packed.question
        self.label = packed.label
        self._line = packed.line.encode()

    @classmethod
    def of(cls, source: str, row: int, example: Example, side: SplitName | None = None) -> Candidate:
        """An example that is packed here and now."""
        return cls(source, row, packed(example), side)

    @property
    def example(self) -> Example:
        """The example, unpacked anew each time."""
        return Example.model_validate_json(self._line)

    @property
    def line(self) -> str:
        """The example as a line of JSON."""
        return self._line.decode()

    @property
    def fields(self) -> dict[str, Any]:
        """The line's fields, in a quarter of the time that the example takes. What says nothing is not there."""
        return cast(dict[str, Any], json.loads(self._line))

    @property
    def tags(self) -> dict[str, str]:
        """The example's tags."""
        return cast(dict[str, str], self.fields.get("tags", {}))

    @property
    def place(self) -> str:
        """File and row, as people name it."""
        return f"{self.source}:{self.row}"

    def entry(self, fate: Fate, reason: str = "") -> LedgerEntry:
        """The ledger's line for its row."""
        return LedgerEntry(source=self.source, row=self.row, fate=fate, reason=reason, example_id=self.id)


class Unpacked(Sequence[Example]):
    """The examples of candidates, each unpacked when it is looked at."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates

    def __len__(self) -> int:
        return len(self._candidates)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        chosen = self._candidates[index]
        return chosen.example if isinstance(chosen, Candidate) else Unpacked(chosen)


def packed(example: Example) -> Packed:
    """An example as a line of JSON, without what says nothing."""
    line = json.dumps(example.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False)
    return Packed(line, example.id, question_of(example), label_of(example))


class Outcome(NamedTuple):
    """What a step did to one example."""

    example: Example | None
    """As it is now; nothing where it is lost."""
    said: str = ""
    """What was done to it, or why it is lost. Never its words."""
    fate: Fate = "dropped"
    """Where it is lost: its fate."""


RowStep = Callable[[Example], Outcome]
"""A step that looks at one example at a time. It runs while the rows are read."""


class Passed(NamedTuple):
    """What all row steps together did to one example."""

    example: Example | None
    remarks: tuple[str, ...]
    reason: str = ""
    fate: Fate = "dropped"


def passed_through(steps: Sequence[RowStep], example: Example) -> Passed:
    """An example after all these steps, or at the first that loses it."""
    remarks: list[str] = []
    for step in steps:
        outcome = step(example)
        if outcome.example is None:
            return Passed(None, tuple(remarks), outcome.said, outcome.fate)
        if outcome.said:
            remarks.append(outcome.said)
        example = outcome.example
    return Passed(example, tuple(remarks))
