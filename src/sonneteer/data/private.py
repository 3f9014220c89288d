"""Personal data taken out of the examples, with types and counts in the ledger and never a value."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from sonneteer.data.candidates import Outcome, RowStep
from sonneteer.data.ledger import Ledger
from sonneteer.errors import DataError
from sonneteer.privacy import Guard
from sonneteer.records import Example, LedgerEntry

REDACTED = "redacted: "
REFUSED = "refused: "
LISTED = 10


def without_personal_data(guard: Guard) -> RowStep:
    """The step that takes personal data out of one example, or loses it where the settings say so."""

    def step(example: Example) -> Outcome:
        protected, counts = guard.protect(example)
        if kinds := guard.refused(counts):
            return Outcome(None, REFUSED + _listed(kinds), "private")
        if kinds := guard.dropped(counts):
            return Outcome(None, f"it holds {_listed(kinds)}, and the recipe drops such rows", "private")
        return Outcome(protected, _remark(counts) if counts else "")

    return step


def refuse_private(ledger: Ledger) -> None:
    """Raises DataError where rows hold what the recipe refuses."""
    refused = [entry for entry in ledger.of_fate("private") if entry.reason.startswith(REFUSED)]
    if not refused:
        return
    rows = "\n".join(f"  {one.source}:{one.row}: {one.reason.removeprefix(REFUSED)}" for one in refused[:LISTED])
    more = f"\n  and {len(refused) - LISTED} more" if len(refused) > LISTED else ""
    raise DataError(
        f"{len(refused)} rows hold personal data that the recipe refuses (privacy: fail):\n{rows}{more}\n"
        "Take it out of the rows, or choose 'mask' or 'drop' for these types."
    )


def redacted_in(entry: LedgerEntry) -> dict[str, int]:
    """How many pieces of each type were taken out of a row, as its remarks say."""
    said = [remark for remark in entry.remarks if remark.startswith(REDACTED)]
    return {kind.replace(" ", "_"): int(number) for one in said for number, kind in re.findall(r"(\d+) ([a-z ]+)", one)}


def redacted(entries: Iterable[LedgerEntry]) -> tuple[int, dict[str, int]]:
    """Rows that something was taken out of, and the pieces by type."""
    rows, counts = 0, Counter[str]()
    for entry in entries:
        taken = redacted_in(entry)
        rows += bool(taken)
        counts.update(taken)
    return rows, dict(sorted(counts.items()))


def _remark(counts: Mapping[str, int]) -> str:
    return REDACTED + ", ".join(f"{number} {kind.replace('_', ' ')}" for kind, number in counts.items())


def _listed(kinds: Iterable[str]) -> str:
    return ", ".join(kind.replace("_", " ") for kind in kinds)
