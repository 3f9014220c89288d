"""Regression cases: confirmed bad answers that every later evaluation asks again. What was fixed stays fixed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from sonneteer.chat import Chat, Options
from sonneteer.evaluation.texts import rouge_l
from sonneteer.records import Case, CaseOutcome, Message, Prompt, RuleOutcome, fingerprint_of
from sonneteer.store import Store, write_whole

RULE = "what was fixed must stay fixed"
DEED = "add a regression case"


class Cases(NamedTuple):
    """The cases of a recipe's name, and which of them an earlier report found fixed."""

    known: tuple[Case, ...] = ()
    fixed_before: frozenset[str] = frozenset()

    @property
    def version(self) -> str:
        """Names what is asked, and what has to stay."""
        return fingerprint_of([sorted(case.id for case in self.known), sorted(self.fixed_before)])


class Mistake(NamedTuple):
    """What somebody says of a bad answer."""

    prompt: tuple[Message, ...]
    """What was asked, with all that came before."""
    bad: str
    good: str
    must: tuple[str, ...] = ()
    must_not: tuple[str, ...] = ()


def case_of(mistake: Mistake) -> Case:
    """The case; the same question with the same bad answer has the same id."""
    id = Case.name_of(mistake.prompt, mistake.bad)
    return Case(id=id, created_at=datetime.now(UTC), **mistake._asdict())


def cases_file(store: Store, name: str) -> Path:
    """Where the cases of a recipe's name are kept, one JSON object a line."""
    return store.root / "cases" / f"{name}.jsonl"


def read_cases(store: Store, name: str) -> tuple[Case, ...]:
    """In the order in which they were added."""
    path = cases_file(store, name)
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    return tuple(Case.model_validate_json(line) for line in lines if line)


def tells(case: Case) -> bool:
    """Whether a case knows its good answer from its bad one; else it would be fixed, or broken, for good."""
    return is_fixed(case, case.good) and not is_fixed(case, case.bad)


def add_cases(store: Store, name: str, cases: Sequence[Case]) -> int:
    """Keep the cases that tell good from bad; returns how many say something new. The same question with the same bad
    answer is kept once, as it was said last."""
    with store.writing(f"cases-{name}", wait_seconds=60):
        known = {one.id: one for one in read_cases(store, name)}
        new = {one.id: one for one in cases if tells(one) and one != known.get(one.id)}
        if new:
            _write(store, name, [*(one for one in known.values() if one.id not in new), *new.values()])
    for one in new.values():
        store.note_deed(DEED, f"cases/{name}", one.id)
    return len(new)


def drop_cases(store: Store, name: str, cases: Sequence[Case]) -> None:
    """Forget those that still say what these say."""
    dropped = {(one.id, one.good) for one in cases}
    with store.writing(f"cases-{name}", wait_seconds=60):
        known = read_cases(store, name)
        kept = [one for one in known if (one.id, one.good) not in dropped]
        if len(kept) < len(known):
            _write(store, name, kept)
    for one in known:
        if one not in kept:
            store.note_deed("drop a regression case", f"cases/{name}", one.id)


def _write(store: Store, name: str, cases: Sequence[Case]) -> None:
    path = cases_file(store, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "".join(f"{one.model_dump_json()}\n" for one in cases).encode())


def is_fixed(case: Case, answer: str) -> bool:
    """By the phrases, where the case names any; else whether the answer is more like the good one than the bad one."""
    said = answer.lower()
    if case.must or case.must_not:
        holds = all(phrase.lower() in said for phrase in case.must)
        return holds and not any(phrase.lower() in said for phrase in case.must_not)
    return rouge_l(case.good, answer) > rouge_l(case.bad, answer)


def ask_cases(chat: Chat, cases: Cases, options: Options) -> tuple[CaseOutcome, ...]:
    """What the tuned model says to each case now."""
    answers = chat.answer([Prompt(messages=case.prompt) for case in cases.known], options) if cases.known else []
    return tuple(
        CaseOutcome(
            case_id=case.id,
            question=case.prompt[-1].text,
            answer=answer.text,
            is_fixed=is_fixed(case, answer.text),
            was_fixed=case.id in cases.fixed_before,
        )
        for case, answer in zip(cases.known, answers, strict=True)
    )


def case_rule(outcomes: Sequence[CaseOutcome], may_come_back: float = 0.0) -> list[RuleOutcome]:
    """Cases that come back, more than this share of all, forbid the promotion; those never fixed are named."""
    if not outcomes:
        return []
    back = [one for one in outcomes if one.was_fixed and not one.is_fixed]
    fixed = sum(one.is_fixed for one in outcomes)
    if len(back) > may_come_back * len(outcomes):
        shown = "; ".join(f"{one.question[:60]!r}" for one in back[:3])
        reason = f"{len(back)} of {len(outcomes)} cases came back: {shown}."
        return [RuleOutcome(rule=RULE, verdict="not better", reason=reason)]
    still = len(outcomes) - fixed - len(back)
    reason = f"Fixed stays fixed: {fixed} of {len(outcomes)} confirmed bad answers are mended"
    reason += f", {still} never were" if still else ""
    reason += f", {len(back)} came back, as is allowed." if back else "."
    return [RuleOutcome(rule=RULE, verdict="better", reason=reason)]


def fixed_in(outcomes: Collection[CaseOutcome]) -> frozenset[str]:
    """The cases that a report found fixed."""
    return frozenset(one.case_id for one in outcomes if one.is_fixed)
