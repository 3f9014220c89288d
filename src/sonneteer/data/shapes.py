"""The shapes in which people keep training data, and how a file's shape is recognised."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sonneteer.data import examples
from sonneteer.data.examples import ANSWERS, ASKING, INSTRUCTED, LABELS, MORE, PROMPTS, TURNS, first
from sonneteer.data.values import Fields, is_given
from sonneteer.errors import DataError
from sonneteer.records import Example

ANTHROPIC_BLOCKS = {"tool_use", "tool_result", "thinking"}
ASIDE = ("system", "system_prompt", "tools", "reference", "reference_answer")


class Shape(NamedTuple):
    """One way to write training data."""

    fits: Callable[[Fields], bool]
    read: Callable[[Fields], Example]
    fields: tuple[str, ...]
    """What it reads of a row."""
    reads_all: bool = False
    """Whether every other field is read, too."""


class Finding(NamedTuple):
    """The shape of a file, and in words how sure that is."""

    shape: str
    why: str


def recognise(rows: Sequence[Fields]) -> Finding:
    """The shape that most of these rows have. Raises DataError where none fits."""
    counts = {name: sum(shape.fits(row) for row in rows) for name, shape in SHAPES.items()}
    best = max(counts, key=lambda name: counts[name])
    if not counts[best]:
        raise DataError(
            f"the rows have no shape that is known. Their fields: {_listed(rows)}. Say under `fields` of the source "
            "which is which, as in `fields: {prompt: asked, completion: replied}`, or write them in one of these:"
            + "".join(f"\n  {name} ({_told_by(shape)})" for name, shape in SHAPES.items() if shape.fits is not _never)
        )
    if counts[best] == len(rows):
        why = f"the first {len(rows)} rows all have this shape"
    else:
        why = f"{counts[best]} of the first {len(rows)} rows have this shape"
    return Finding(best, why + _doubt(best, rows))


def _doubt(best: str, rows: Sequence[Fields]) -> str:
    """The other shapes that some rows have, or that would read them to something else."""
    others = {}
    for name, shape in SHAPES.items():
        rivals = [row for row in rows if name != best and shape.fits(row) and _reads_differently(row, name, best)]
        if rivals:
            others[name] = len(rivals)
    if not others:
        return ""
    said = ", ".join(f"{count} as '{name}'" for name, count in others.items())
    return f". Doubtful: {said} could be read otherwise; say which is meant in the source's `format`"


def _reads_differently(row: Fields, name: str, best: str) -> bool:
    """Whether the rival can read the row, and to another example than the best shape."""
    try:
        rival = SHAPES[name].read(row)
    except DataError:
        return False
    try:
        return not SHAPES[best].fits(row) or SHAPES[best].read(row) != rival
    except DataError:
        return True


def unused_fields(shape: str, rows: Sequence[Fields], besides: Sequence[str]) -> list[str]:
    """Names of fields that the shape does not read."""
    if SHAPES[shape].reads_all:
        return []
    return sorted({str(key) for row in rows for key in row} - {*SHAPES[shape].fields, *besides})


def _told_by(shape: Shape) -> str:
    return ", ".join([field for field in dict.fromkeys(shape.fields) if field not in ASIDE][:3])


def _listed(rows: Sequence[Fields]) -> str:
    # A table without a header takes its first row for the names: do not print whole texts of it.
    names = sorted({str(key)[:30] for row in rows for key in row})
    return ", ".join(names[:20]) or "none"


def _never(row: Fields) -> bool:
    """Of shapes that are never guessed."""
    return False


def _is_plain(row: Fields) -> bool:
    """None of those that have the fields of plainer shapes, too: Bedrock's, pairs, judged answers, references."""
    is_special = "schemaVersion" in row or "preferred_output" in row or _is_pair(row) or _is_judged(row)
    return not (is_special or _is_referred(row))


def _is_referred(row: Fields) -> bool:
    """Asks something that is not answered, beside what the right answer is."""
    if not is_given(row.get("reference_answer")):
        return False
    if messages := _messages(row):
        return messages[-1].get("role") != "assistant"
    return first(row, ("instruction", "prompt", "question")) is not None and first(row, ANSWERS) is None


def _is_pair(row: Fields) -> bool:
    return "chosen" in row and "rejected" in row


def _is_judged(row: Fields) -> bool:
    """Has an answer and a label that is true or false. Other labels are classes of something."""
    label = row.get(first(row, LABELS) or "")
    says_yes_or_no = isinstance(label, bool) or (isinstance(label, str) and label.lower() in ("true", "false"))
    return says_yes_or_no and ("messages" in row or _has_turns(row) or _is_answered(row))


def _is_answered(row: Fields) -> bool:
    return first(row, ("instruction", *PROMPTS)) is not None and first(row, ANSWERS) is not None


def _is_alpaca(row: Fields) -> bool:
    return "instruction" in row and first(row, INSTRUCTED) is not None


def _is_prompted(row: Fields) -> bool:
    """Asks something. `input` alone is plain text."""
    return "instruction" not in row and ("prompt" in row or "question" in row or _is_answered(row))


def _is_text(row: Fields) -> bool:
    """Has text, and nothing that a more telling shape could read."""
    told = ("schemaVersion", "preferred_output", "messages", "instruction", "prompt", "question", "chosen", *TURNS)
    return isinstance(row.get("text", row.get("input")), str) and first(row, told) is None and not _is_answered(row)


def _is_chat(row: Fields) -> bool:
    return "messages" in row and not (_block_kinds(row) & ANTHROPIC_BLOCKS)


def _is_anthropic(row: Fields) -> bool:
    messages = _messages(row)
    has_own_roles = any(message.get("role") not in ("user", "assistant") for message in messages)
    return "messages" in row and not has_own_roles and not any("tool_calls" in message for message in messages)


def _messages(row: Fields) -> list[Fields]:
    messages = row.get("messages")
    return [message for message in messages if isinstance(message, Mapping)] if isinstance(messages, list) else []


def _block_kinds(row: Fields) -> set[Any]:
    contents = [message["content"] for message in _messages(row) if isinstance(message.get("content"), list)]
    kinds = [block.get("type") for content in contents for block in content if isinstance(block, Mapping)]
    return {kind for kind in kinds if isinstance(kind, str)}


def _has_turns(row: Fields) -> bool:
    key = first(row, TURNS)
    return key is not None and (isinstance(row[key], list) or str(row[key]).lstrip().startswith("["))


SHAPES: dict[str, Shape] = {
    "exchange": Shape(
        _never,  # live traffic says what it is
        examples.exchange,
        ("exchange", "prompt", "completion", "rejected", "label", *ASIDE),
    ),
    "bedrock": Shape(
        lambda row: "schemaVersion" in row, examples.bedrock, ("schemaVersion", "messages", "toolConfig", *ASIDE)
    ),
    "openai-preference": Shape(
        lambda row: "preferred_output" in row,
        examples.openai_preference,
        ("input", "preferred_output", "non_preferred_output", *ASIDE),
    ),
    "preference": Shape(
        _is_pair,
        examples.preference,
        ("prompt", "chosen", "rejected", *PROMPTS, "instruction", *MORE, "history", *TURNS, *ASIDE),
    ),
    "unpaired": Shape(
        _is_judged,
        examples.unpaired,
        (
            "prompt",
            "completion",
            *LABELS,
            *PROMPTS,
            *ANSWERS,
            "instruction",
            *MORE,
            "history",
            "messages",
            *TURNS,
            *ASIDE,
        ),
    ),
    "reference": Shape(_is_referred, examples.referred, ("reference_answer", *ASKING), reads_all=True),
    "sharegpt": Shape(lambda row: _is_plain(row) and _has_turns(row), examples.sharegpt, (*TURNS, *ASIDE)),
    "chat": Shape(lambda row: _is_plain(row) and _is_chat(row), examples.chat, ("messages", "functions", *ASIDE)),
    "anthropic": Shape(lambda row: _is_plain(row) and _is_anthropic(row), examples.anthropic, ("messages", *ASIDE)),
    "alpaca": Shape(
        lambda row: _is_plain(row) and _is_alpaca(row),
        examples.alpaca,
        ("instruction", "input", "output", *MORE, *INSTRUCTED, "history", *ASIDE),
    ),
    "prompt-completion": Shape(
        lambda row: _is_plain(row) and _is_prompted(row),
        examples.prompt_completion,
        ("prompt", "completion", *PROMPTS, *ANSWERS, *ASIDE),
    ),
    "prompt": Shape(_never, examples.asked, ("messages", *PROMPTS, "instruction", *MORE, *TURNS, *ASIDE)),
    "text": Shape(_is_text, examples.text, ("text", "input")),
}
"""In the order in which they are tried: where two fit equally often, the first is meant."""
