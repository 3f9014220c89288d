"""Ask a model all questions of the test split; every answer is kept as it comes, so nothing is asked twice.

The answers stand in a file of JSON lines, each under its arm, its example and a fingerprint of model and options. An
evaluation that was interrupted goes on where it stopped; a line that a crash tore apart is ignored. A model behind an
API is asked single questions, so that one that fails loses no other.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from threading import Lock
from typing import Any, NamedTuple

from sonneteer.chat import Chat, Likelihood, LogProbs, Options, Remote
from sonneteer.errors import BusyError, RequestError
from sonneteer.records import Example, Usage, fingerprint_of


class Reply(NamedTuple):
    """What one arm said to one example, and how likely it finds the reference answer."""

    text: str
    stop_reason: str
    answer_tokens: int
    likelihood: Likelihood | None
    choices: tuple[float, ...] = ()
    """Log-probability of each choice, where the example gives some."""
    rejected: float | None = None
    """Log-probability of the rejected answer, where the example has one."""
    prompt_tokens: int = 0
    seconds: float = 0.0
    """Its share of the time in which its batch was answered; 0 where nobody measured it."""
    confidence: float | None = None
    """How sure the model was of what it said, where it tells."""


class Arm(NamedTuple):
    """One of the models that are compared."""

    name: str
    chat: Chat
    version: str
    """Names the model's content: answers of another version are not taken over."""


Told = Callable[[int], None]
"""Hears how many examples were answered just now."""


def ask(
    arm: Arm, examples: Sequence[Example], options: Options, journal: Path, batch_size: int, told: Told
) -> list[Reply]:
    """The arm's replies to all examples, in their order.

    Raises RequestError or BusyError, which name arm and example, where a server gives no answer. By then all answers
    that came are in the journal, and the same call asks only the others.
    """
    key = _key(arm.name, arm.version, options)
    known = _read(journal, key)
    told(len([example for example in examples if example.id in known]))
    missing = [example for example in examples if example.id not in known]
    lock = Lock()

    def keep(batch: list[Example]) -> None:
        replies = _asked(arm.chat, batch, options)
        with lock:
            _append(journal, key, arm.name, batch, replies)
            known.update({example.id: reply for example, reply in zip(batch, replies, strict=True)})
            told(len(batch))

    def keep_one(example: Example) -> None:
        try:
            keep([example])
        except (RequestError, BusyError) as problem:
            raise type(problem)(
                f"'{arm.name}' did not answer example {example.id}: {problem} Every answer that came is kept: the same "
                "command goes on where it stopped."
            ) from problem

    if isinstance(arm.chat, Remote):
        with ThreadPoolExecutor(arm.chat.at_once) as pool:
            list(pool.map(keep_one, missing))  # what fails first ends it; what is under way by then is still kept
    else:
        for start in range(0, len(missing), batch_size):
            keep(missing[start : start + batch_size])
    return [known[example.id] for example in examples]


def declined(replies: Sequence[Reply]) -> int:
    """How many questions the model declined to answer."""
    return sum(reply.stop_reason == "refusal" for reply in replies)


def usage_of(replies: Sequence[Reply]) -> Usage | None:
    """What an answer takes on average; None where nobody measured it."""
    measured = [reply for reply in replies if reply.seconds]
    if not measured:
        return None
    return Usage(
        prompt_tokens=fmean(reply.prompt_tokens for reply in measured),
        answer_tokens=fmean(reply.answer_tokens for reply in measured),
        seconds=fmean(reply.seconds for reply in measured),
    )


def known_replies(journal: Path, name: str, version: str, options: Options) -> dict[str, Reply]:
    """What an arm has answered already, by example."""
    return _read(journal, _key(name, version, options))


def _key(name: str, version: str, options: Options) -> str:
    return fingerprint_of([name, version, options.model_dump(mode="json")])


def _asked(chat: Chat, examples: list[Example], options: Options) -> list[Reply]:
    begun = time.monotonic()
    answers = chat.answer([example.prompt for example in examples], options)
    seconds = (time.monotonic() - begun) / len(examples)
    likelihoods: Sequence[Likelihood | None] = [None] * len(examples)
    choices: Sequence[tuple[float, ...]] = [()] * len(examples)
    rejected: Sequence[float | None] = [None] * len(examples)
    if isinstance(chat, LogProbs):
        likelihoods, choices = chat.likelihoods(examples), _weighed(chat, examples)
        rejected = _rejected(chat, examples)
    return [
        Reply(
            answer.text,
            answer.stop_reason,
            answer.answer_tokens,
            likelihood,
            weighed,
            worse,
            answer.prompt_tokens,
            seconds,
            answer.confidence,
        )
        for answer, likelihood, weighed, worse in zip(answers, likelihoods, choices, rejected, strict=True)
    ]


def _rejected(chat: LogProbs, examples: list[Example]) -> list[float | None]:
    """How likely the model finds the answers that people rejected."""
    told = iter(chat.likelihoods([example.as_rejected for example in examples if example.as_rejected is not None]))
    return [None if example.rejected is None else next(told).log_prob for example in examples]


def _weighed(chat: LogProbs, examples: list[Example]) -> list[tuple[float, ...]]:
    """How likely the model finds each of the choices that an example's `reference` gives."""
    choices = [[str(choice) for choice in example.reference.get("choices") or ()] for example in examples]
    told = iter(chat.likelihoods([_with(e, one) for e, given in zip(examples, choices, strict=True) for one in given]))
    return [tuple(next(told).log_prob for _ in given) for given in choices]


def _with(example: Example, text: str) -> Example:
    answer = example.answer.model_copy(update={"text": text})
    return example.model_copy(update={"messages": (*example.prompt.messages, answer)})


def _append(journal: Path, key: str, arm: str, examples: list[Example], replies: list[Reply]) -> None:
    with journal.open("a", encoding="utf-8") as stream:
        for example, reply in zip(examples, replies, strict=True):
            line = {"key": key, "arm": arm, "example": example.id, **reply._asdict()}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")


def _read(journal: Path, key: str) -> dict[str, Reply]:
    return {line["example"]: _reply(line) for line in _lines(journal) if line.get("key") == key}


def _lines(journal: Path) -> Iterator[dict[str, Any]]:
    if not journal.exists():
        return
    for line in journal.read_text(encoding="utf-8").split("\n"):
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _reply(line: dict[str, Any]) -> Reply:
    likelihood = line["likelihood"]
    return Reply(
        text=line["text"],
        stop_reason=line["stop_reason"],
        answer_tokens=line["answer_tokens"],
        likelihood=None if likelihood is None else Likelihood(*likelihood),
        choices=tuple(line.get("choices", ())),
        rejected=line.get("rejected"),
        prompt_tokens=line.get("prompt_tokens", 0),
        seconds=line.get("seconds", 0.0),
        confidence=line.get("confidence"),
    )
