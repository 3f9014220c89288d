"""Passages: pieces of a document of about the same length, each with its page and the headings above it.

A passage ends where a paragraph ends, else a sentence, else a word. It may begin with the last sentences of the one
before it, so that no thought is seen only in halves.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Generator, Iterator

from sonneteer.data.documents.read import Document, Part, read_document
from sonneteer.data.values import RawRow
from sonneteer.recipe.sections import PassageSettings

ENDS = (re.compile(r"\n\s*\n"), re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+|\n"), re.compile(r"\s+"))
"""Where a text may be cut: after a paragraph, a sentence, a word. The first that is found is taken."""

LONGEST_SECTION = 100


def passages_of(
    file: str, document: str, content: bytes, encoding: str, settings: PassageSettings
) -> Generator[RawRow]:
    """A row for each passage of a document, and one for each part that cannot be read."""
    read = read_document(file, content, encoding)
    number = 0
    for number, (text, tags) in enumerate(_passages(read, settings), 1):
        person = {"person": read.person} if read.person else {}
        yield RawRow(number, {"text": text, "tags": {"document": document, **tags, **person}})
    for further, problem in enumerate(read.problems, number + 1):
        yield RawRow(further, None, problem)


def _passages(document: Document, settings: PassageSettings) -> Iterator[tuple[str, dict[str, str]]]:
    parts = [part for part in document.parts if part.text.strip()]
    starts, length = [], 0
    for part in parts:
        starts.append(length)
        length += len(part.text) + 1
    text = "\n".join(part.text for part in parts)
    for start, end in cuts(text, settings.characters, settings.overlap):
        passage = text[start:end]
        if passage.strip():
            first = start + len(passage) - len(passage.lstrip())
            last = end - 1 - (len(passage) - len(passage.rstrip()))
            yield passage.strip(), _place(parts[bisect_right(starts, first) - 1], parts[bisect_right(starts, last) - 1])


def _place(first: Part, last: Part) -> dict[str, str]:
    """Page and headings as tags."""
    section = first.section if len(first.section) <= LONGEST_SECTION else first.section.split(" > ")[-1]
    place = {"section": section[:LONGEST_SECTION]} if section else {}
    if first.page is None:
        return place
    pages = str(first.page) if first.page == last.page else f"{first.page}-{last.page}"
    return {**place, "page": pages}


def cuts(text: str, characters: int, overlap: int = 0) -> Iterator[tuple[int, int]]:
    """Where passages begin and end. None is longer than so many characters, and each goes further than the one before.

    `overlap` must be less than half of `characters`.
    """
    start = 0
    while start < len(text):
        end = _end(text, start, characters)
        yield start, end
        start = _next_start(text, end, overlap) if end < len(text) else end


def _end(text: str, start: int, characters: int) -> int:
    if len(text) - start <= characters:
        return len(text)
    window = text[start : start + characters]
    for pattern in ENDS:
        found = max((match.end() for match in pattern.finditer(window, len(window) // 2)), default=0)
        if found:
            return start + found
    return start + characters


def _next_start(text: str, end: int, overlap: int) -> int:
    window = text[end - overlap : end]
    for pattern in ENDS[1:]:
        found = pattern.search(window, 0, len(window.rstrip()))
        if found:
            return end - overlap + found.end()
    return end
