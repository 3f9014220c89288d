"""The same words written the same way: Unicode, white space, remains of markup. Tool calls stay as they are."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable

from sonneteer.data.candidates import Outcome
from sonneteer.records import Example

INVISIBLE = re.compile("[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u00ad\u200b\u2060\ufeff\ufff9-\ufffb]")
"""Control characters, soft hyphens, zero-width spaces and marks of byte order. Joiners are needed by scripts."""
TRAILING = re.compile(r"[ \t\u00a0]+(?=\n|\Z)")
BLANK_LINES = re.compile(r"\n{4,}")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
BREAK = re.compile(r"<(?:br|/p|/div|/li|/h[1-6]|/tr)\s*/?>", re.IGNORECASE)
TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]*(?:\s[^<>]*)?/?>")


def one_unicode(example: Example) -> Outcome:
    """Equal characters are equal: NFC, one kind of line end, nothing invisible."""
    return _rewritten(example, _plain_unicode, "Unicode was normalised")


def one_white_space(example: Example) -> Outcome:
    """No spaces at the ends of lines and texts, and at most two blank lines in a row."""
    return _rewritten(example, _plain_space, "white space was tidied")


def no_markup(example: Example) -> Outcome:
    """Tags and comments are gone, and entities are the characters that they stand for."""
    return _rewritten(example, _plain_markup, "markup was removed")


def _rewritten(example: Example, rewrite: Callable[[str], str], said: str) -> Outcome:
    texts = [rewrite(message.text) for message in example.messages]
    other = rewrite(example.rejected.text) if example.rejected else ""
    is_same = all(text == message.text for text, message in zip(texts, example.messages, strict=True))
    if is_same and (example.rejected is None or other == example.rejected.text):
        return Outcome(example)
    written = zip(texts, example.messages, strict=True)
    messages = tuple(message.model_copy(update={"text": text}) for text, message in written)
    rejected = example.rejected and example.rejected.model_copy(update={"text": other})
    if not messages[-1].text.strip() and not messages[-1].tool_calls:
        return Outcome(None, f"{said}, and the answer is empty now")
    if rejected is not None and rejected == messages[-1]:
        return Outcome(None, f"{said}, and the chosen and the rejected answer are the same now")
    return Outcome(example.model_copy(update={"messages": messages, "rejected": rejected}), said)


def _plain_unicode(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return INVISIBLE.sub("", unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")))


def _plain_space(text: str) -> str:
    if "\n" not in text:
        return text.strip()
    return BLANK_LINES.sub("\n\n\n", TRAILING.sub("", text)).strip("\n").rstrip()


def _plain_markup(text: str) -> str:
    if "<" in text:
        text = TAG.sub("", BREAK.sub("\n", COMMENT.sub("", text)))
    return html.unescape(text) if "&" in text else text
