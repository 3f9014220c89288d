"""Which encoding a file is in: UTF-8 where that is possible, else what its marks or its bytes tell."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import NamedTuple

from sonneteer.data.languages import language_of
from sonneteer.errors import DataError

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LATIN: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("cp1250", "iso8859_2", "mac_latin2"), ("cs", "hr", "hu", "pl", "ro", "sk", "sl")),
    (("cp1254", "iso8859_9"), ("tr", "az", "ku")),
    (("cp1257", "iso8859_4", "iso8859_13", "cp775"), ("et", "lt", "lv")),
    (("iso8859_3", "iso8859_10", "iso8859_14", "iso8859_15", "iso8859_16", "latin_1", "cp1258"), ("mt", "vi")),
    (("cp437", "cp850", "cp858", "cp852", "mac_roman", "hp_roman8", "cp500", "cp037", "cp1140"), ()),
)
"""Code pages of Latin letters beside cp1252, and the languages that they were made for."""
LOOKED_AT = 200_000
MOSTLY = 0.9
BLOCK = 1 << 20


class Recoded(NamedTuple):
    """A text in UTF-8, and how sure that is."""

    content: bytes
    """UTF-8; where the encoding is 'utf-8' a few bytes may be broken, which is told line by line."""
    encoding: str


def recoded(path: Path, content: bytes, encoding: str = "auto") -> Recoded:
    """The content in UTF-8. Raises DataError where the encoding that the recipe names does not fit."""
    if encoding != "auto":
        return _named(path, content, encoding)
    for mark, name in MARKS:
        if content.startswith(mark):
            return Recoded(_named(path, content, name).content, name.removesuffix("-sig"))
    if _is_mostly_utf8(content):
        return Recoded(content, "utf-8")
    return _guessed(path, content)


def _named(path: Path, content: bytes, encoding: str) -> Recoded:
    try:
        return Recoded(content.decode(encoding).encode(), encoding)
    except LookupError as problem:
        raise DataError(f"{path}: '{encoding}' is no known encoding. Write utf-8, cp1252, utf-16, ...") from problem
    except UnicodeError as problem:
        raise DataError(
            f"{path} is not in {encoding}: {problem.__class__.__name__}. Name another encoding."
        ) from problem


def _is_mostly_utf8(content: bytes) -> bool:
    """Whether all, or nearly all, of the characters beyond ASCII are UTF-8."""
    if _is_utf8(content):
        return True
    text = content[:LOOKED_AT].decode("utf-8", "replace")
    broken = text.count("\ufffd")
    beyond = sum(not char.isascii() for char in text)
    return beyond > 0 and broken / beyond <= 1 - MOSTLY


def _is_utf8(content: bytes) -> bool:
    """Looked at block by block: the whole as text would take up to four times the file's size."""
    decoder, view = codecs.getincrementaldecoder("utf-8")(), memoryview(content)
    try:
        for start in range(0, len(content), BLOCK):
            decoder.decode(bytes(view[start : start + BLOCK]))
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return False
    return True


def _guessed(path: Path, content: bytes) -> Recoded:
    from charset_normalizer import from_bytes

    best = from_bytes(content[:LOOKED_AT]).best()
    if best is None or b"\x00" in content:  # no text in another encoding, but one with broken bytes in it
        return Recoded(content, "utf-8")
    name = best.encoding
    languages = next((known for pages, known in LATIN if name in pages), None)
    if languages is not None and language_of(str(best)) not in languages:
        name = "cp1252"  # the pages of Latin letters are hard to tell apart, and this is by far the commonest
    return _named(path, content, name)
