"""What an example asks, as it is compared with others, and what it answers, where that is a label."""

from __future__ import annotations

import re
from itertools import islice

from sonneteer.records import Example, fingerprint_of

LONGEST_LABEL = 6  # words
WORD = re.compile(r"\w+")


def question_of(example: Example) -> str:
    """Fingerprint of the prompt (of the whole of a plain text), whatever its case, spaces and punctuation."""
    asked = example.messages if example.is_text else example.prompt.messages
    said = [(message.role, " ".join(WORD.findall(message.text.lower()))) for message in asked]
    if not any(words for _, words in said):  # nothing but signs, or calls of tools
        calls = [message.model_dump(mode="json")["tool_calls"] for message in asked]
        return fingerprint_of([[(message.role, " ".join(message.text.split())) for message in asked], calls])
    return fingerprint_of([said, [call.arguments for message in asked for call in message.tool_calls]])


def label_of(example: Example) -> str:
    """The answer as a label; nothing where it is too long for one."""
    words = [found.group() for found in islice(WORD.finditer(example.answer.text.lower()), LONGEST_LABEL + 1)]
    return " ".join(words) if len(words) <= LONGEST_LABEL else ""
