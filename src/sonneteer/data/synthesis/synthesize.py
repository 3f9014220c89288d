"""A teacher writes examples from passages, prompts or examples, until all are done or the budget is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import NamedTuple

from sonneteer.chat import Chat, Options
from sonneteer.data.candidates import Candidate
from sonneteer.data.ledger import Ledger
from sonneteer.data.locations import expanded, fetch
from sonneteer.data.private import refuse_private
from sonneteer.data.sources import gather
from sonneteer.data.steps import private_steps, row_steps
from sonneteer.data.synthesis.budget import Budget, tokens_at_most
from sonneteer.data.synthesis.journal import Journal, Reply
from sonneteer.data.synthesis.tasks import TASKS
from sonneteer.errors import DataError, RecipeError, RefusalError, RequestError, TakenError
from sonneteer.progress import Progress
from sonneteer.recipe.sections import Recipe, SourceSettings, SynthesisSettings
from sonneteer.records import Example, Prompt, fingerprint_of
from sonneteer.records.rows import row_of
from sonneteer.store import Store, write_whole

ATTEMPTS = 2
"""How often a question is asked whose reply is not what was asked for."""
IN_VAIN = 5
"""So many refusals in a row, before anything was answered, say that the settings are wrong."""
WRITTEN, REFUSED, UNUSABLE, UNASKED = "written", "refused", "unusable", "not asked: the budget does not reach"


class Synthesized(NamedTuple):
    """What came of it."""

    target: Path
    examples: int
    fates: dict[str, int]
    """Passages or rows by what became of them."""
    problems: list[str]
    """The first of those that were refused or unusable, with their places."""
    tokens: int
    money: float | None


class _Outcome(NamedTuple):
    fate: str
    examples: Sequence[Example] = ()
    said: str = ""


def synthesize(recipe: Recipe, folder: Path, store: Store, chat: Chat, progress: Progress) -> Synthesized:
    """Write the target file. Personal data is masked before anything is sent; what was replied before is remembered.

    Raises BusyError or RequestError where the teacher cannot be asked; the same again goes on.
    """
    settings = recipe.synthesis
    target = folder / settings.target
    _refuse_taken(target)
    candidates = _material(recipe, folder, store, progress)
    desk = _Desk(settings, chat, store)
    outcomes: list[_Outcome] = []
    for outcome in desk.work_through(candidates):
        outcomes.append(outcome)
        progress.update(len(outcomes), len(candidates), {"spent": f"{desk.budget.tokens:,} tokens"})
    pairs = [(one, example) for one, outcome in zip(candidates, outcomes, strict=True) for example in outcome.examples]
    write_whole(target, "".join(f"{_row(example, one, settings)}\n" for one, example in pairs).encode())
    told = [f"{c.place}: {o.said}" for c, o in zip(candidates, outcomes, strict=True) if o.said]
    fates = dict(Counter(outcome.fate for outcome in outcomes))
    return Synthesized(target, len(pairs), fates, told, desk.budget.tokens, desk.budget.money)


def _refuse_taken(target: Path) -> None:
    """Raises TakenError where the target is a file that no teacher wrote."""
    if target.is_file() and (content := target.read_bytes()) and b'"made_by"' not in content.split(b"\n", 1)[0]:
        raise TakenError(f"synthesis.target: {target} is there already, and no teacher wrote it. Choose another name.")


def _material(recipe: Recipe, folder: Path, store: Store, progress: Progress) -> list[Candidate]:
    """What the teacher is given, cleaned and without personal data."""
    settings = recipe.synthesis
    if not settings.sources:
        raise RecipeError("synthesis.sources is empty: name the documents, prompts or examples to write from.")
    passages = settings.passages if settings.task == "questions" else None
    format = "auto" if passages else TASKS[settings.task].format
    named = [SourceSettings(path=path, passages=passages, format=format) for path in settings.sources]
    sources = expanded(named, folder, progress.note)
    if any((folder / source.path).absolute() == (folder / settings.target).absolute() for source in sources):
        raise RecipeError(f"synthesis.target: {settings.target} is one of synthesis.sources. Choose another name.")
    steps = [*row_steps(recipe.data.clean, None), *private_steps(recipe, folder, store)]
    ledger = Ledger()
    data = recipe.data.model_copy(update={"sources": tuple(sources)})
    candidates = gather(data, [fetch(source, folder, store) for source in sources], steps, ledger, progress).candidates
    refuse_private(ledger)
    if not candidates:
        raise DataError(f"There is nothing to write from in {', '.join(settings.sources)}.")
    return candidates


class _Desk:
    """Where questions go out and replies come in, several at a time."""

    def __init__(self, settings: SynthesisSettings, chat: Chat, store: Store) -> None:
        self._settings = settings
        self._task = TASKS[settings.task]
        self._chat = chat
        self._options = Options(max_tokens=settings.max_answer_tokens, temperature=settings.temperature)
        self._is_over = Event()
        self._replies = 0
        self._refusals = 0
        self.budget = Budget(settings)
        teacher = settings.teacher
        name = fingerprint_of([teacher.api, teacher.model, teacher.url, self._options.model_dump(mode="json")])
        self._journal = Journal(store.root / "synthesis" / f"{name}.jsonl")

    def work_through(self, candidates: Sequence[Candidate]) -> Iterator[_Outcome]:
        """What became of each, in their order."""
        at_once = 1 if self._settings.teacher.api == "local" else self._settings.at_once
        with ThreadPoolExecutor(at_once) as pool:
            try:
                yield from pool.map(self._write, candidates)
            finally:
                self._is_over.set()  # after a failure what still waits is not asked

    def _write(self, candidate: Candidate) -> _Outcome:
        example = candidate.example
        prompt = self._task.ask(example, self._settings)
        said = ""
        for attempt in range(ATTEMPTS):
            reply = self._reply(prompt, attempt, example.tags.get("person", ""))
            if reply is None:
                return _Outcome(UNASKED)
            if reply.refusal:
                return _Outcome(REFUSED, said=f"{REFUSED}: {reply.refusal}")
            try:
                if reply.stop_reason == "length":
                    raise DataError(f"the reply is longer than {self._settings.max_answer_tokens} tokens")
                return _Outcome(WRITTEN, self._task.read(reply.text, example))
            except DataError as problem:
                said = f"{UNUSABLE}: {problem}"
        return _Outcome(UNUSABLE, said=said)

    def _reply(self, prompt: Prompt, attempt: int, person: str) -> Reply | None:
        """What the teacher says, or has said to just this before. Nothing where the budget is spent."""
        asked = fingerprint_of([prompt.model_dump(mode="json"), attempt])
        known = self._journal.get(asked)
        if known is not None:
            self.budget.settle(None, known.prompt_tokens, known.answer_tokens)
            return known
        ticket = None if self._is_over.is_set() else self.budget.reserve(prompt)
        if ticket is None:
            return None
        reply = Reply("")
        try:
            (answer,) = self._chat.answer([prompt], self._options.model_copy(update={"seed": attempt}))
            reply = Reply(answer.text, answer.stop_reason, answer.prompt_tokens, answer.answer_tokens)
            if answer.stop_reason == "refusal":
                reply = reply._replace(refusal="the model declined to answer")
        except RefusalError as problem:
            reply = Reply("", prompt_tokens=tokens_at_most(prompt), refusal=str(problem))  # it is paid for, too
        except BaseException:
            self._is_over.set()
            raise
        finally:
            self.budget.settle(ticket, reply.prompt_tokens, reply.answer_tokens)
        self._journal.put(asked, reply, person)
        self._count(reply)
        return reply

    def _count(self, reply: Reply) -> None:
        self._replies += not reply.refusal
        self._refusals += bool(reply.refusal)
        if not self._replies and self._refusals >= IN_VAIN:
            self._is_over.set()
            raise RequestError(f"The first {IN_VAIN} questions were all refused. The last: {reply.refusal}")


def _row(example: Example, origin: Candidate, settings: SynthesisSettings) -> str:
    """A line of the target: the example, with the tags of what it was written from, and by whom and how."""
    kept = {tag: value for tag, value in origin.example.tags.items() if tag != "source"}
    made = {"made_by": settings.teacher.model or "", "made_how": settings.task, "made_from": origin.place}
    made |= {"made_under": settings.teacher.terms} if settings.teacher.terms else {}
    written = example.model_copy(update={"tags": {**kept, **made}})
    return json.dumps(row_of(written), ensure_ascii=False)
