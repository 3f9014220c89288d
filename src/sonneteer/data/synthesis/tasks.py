"""What a teacher is asked for each task, and how its reply becomes examples."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from sonneteer.errors import DataError
from sonneteer.recipe.sections import SynthesisSettings
from sonneteer.records import Example, Message, Prompt

WRITER = "You write training examples for an assistant. Be correct, complete and natural."
QUESTIONS = """\
<passage{place}>
{text}
</passage>

Write {count} different questions that people could ask and that this passage answers, each with its whole answer. Use \
only what the passage says. Questions and answers must make sense to somebody who does not see the passage, so never \
speak of it. {instructions}

Reply with a JSON list and nothing else: [{{"question": "...", "answer": "..."}}]. If the passage answers no question, \
reply with []."""
REWRITE = """\
<conversation>
{conversation}
</conversation>

Write the assistant's last answer anew. Keep what is true in it and leave nothing out. {instructions}

Reply with the new answer and nothing else."""


class Task(NamedTuple):
    """One way to get examples from a teacher."""

    format: str
    """The shape of the rows that it is given; 'auto' where any example will do."""
    ask: Callable[[Example, SynthesisSettings], Prompt]
    read: Callable[[str, Example], list[Example]]
    """Examples from a reply. Raises DataError where it is not what was asked for."""


def _ask_questions(passage: Example, settings: SynthesisSettings) -> Prompt:
    place = "".join(f' {tag}="{passage.tags[tag]}"' for tag in ("document", "section") if tag in passage.tags)
    text = QUESTIONS.format(
        place=place, text=passage.answer.text, count=settings.questions, instructions=settings.instructions
    )
    return Prompt(messages=(Message(role="system", text=WRITER), Message(role="user", text=text)))


def _read_questions(reply: str, passage: Example) -> list[Example]:
    pairs = _listed(reply)
    if not all(_is_pair(pair) for pair in pairs):
        raise DataError("a question or its answer is missing")
    return [
        Example(
            messages=(
                Message(role="user", text=pair["question"].strip()),
                Message(role="assistant", text=pair["answer"].strip()),
            )
        )
        for pair in pairs
    ]


def _listed(reply: str) -> list[Any]:
    start, end = reply.find("["), reply.rfind("]")
    try:
        pairs = json.loads(reply[start : end + 1])
    except (ValueError, RecursionError) as problem:
        raise DataError("the reply is no JSON list") from problem
    if start < 0 or not isinstance(pairs, list):
        raise DataError("the reply is no JSON list")
    return pairs


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, dict) and all(
        isinstance(pair.get(key), str) and pair[key].strip() for key in ("question", "answer")
    )


def _ask_for_answer(example: Example, settings: SynthesisSettings) -> Prompt:
    told = [Message(role="system", text=settings.instructions)] if settings.instructions else []
    return Prompt(messages=(*told, *example.prompt.messages), tools=example.tools)


def _read_answer(reply: str, example: Example) -> list[Example]:
    if not reply.strip():
        raise DataError("the reply is empty")
    return [example.with_answer(Message(role="assistant", text=reply.strip()))]


def _ask_for_rewriting(example: Example, settings: SynthesisSettings) -> Prompt:
    conversation = "\n\n".join(f"{message.role}: {message.text}" for message in example.messages)
    text = REWRITE.format(conversation=conversation, instructions=settings.instructions)
    return Prompt(messages=(Message(role="system", text=WRITER), Message(role="user", text=text)))


TASKS: dict[str, Task] = {
    "questions": Task("text", _ask_questions, _read_questions),
    "answers": Task("prompt", _ask_for_answer, _read_answer),
    "rewrite": Task("auto", _ask_for_rewriting, _read_answer),
}
