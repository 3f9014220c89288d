"""Which encoding a file is in: UTF-8 where that is possible, else what its marks or its bytes tell."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Generator
from typing import BinaryIO, NamedTuple

from sonneteer.data.files import BLOCK, flowing
from sonneteer.data.languages import language_of
from sonneteer.errors import DataError

MARKS = (
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


class Recoded(NamedTuple):
    """A text in UTF-8, and what it was in."""

    opened: Callable[[], BinaryIO]
    """Opens it. UTF-8; where the encoding is 'utf-8' a few bytes may be broken, which is told line by line."""
    encoding: str


def recoded(name: str, opened: Callable[[], BinaryIO], encoding: str = "auto") -> Recoded:
    """What can be opened, in UTF-8. Where nothing is named its bytes are looked at first, and so it is opened twice.

    Raises DataError where the encoding that the recipe names does not fit; some of it when the stream is read.
    """
    if encoding != "auto":
        return _named(name, opened, encoding)
    with opened() as stream:
        first = stream.read(LOOKED_AT)
    if wide := _wide(first):
        return _named(name, opened, wide)
    if first.startswith(codecs.BOM_UTF8) or _is_utf8(opened) or _is_mostly_utf8(first):
        return Recoded(opened, "utf-8")
    return _guessed(name, opened, first)


def _wide(first: bytes) -> str:
    """UTF-16 or UTF-32 by the mark at the beginning, or UTF-16 because every second byte is nearly always zero."""
    marked = next((name for mark, name in MARKS if first.startswith(mark)), "")
    zeros = first[::2].count(0), first[1::2].count(0)
    few, many = sorted(zeros)
    if marked or many < 0.2 * len(first) or few > 0.1 * many:
        return marked
    return "utf-16-be" if zeros[0] == many else "utf-16-le"


def _named(name: str, opened: Callable[[], BinaryIO], encoding: str) -> Recoded:
    try:
        b"".decode(encoding)
        made = codecs.getincrementaldecoder(encoding)
    except LookupError as problem:
        raise DataError(f"{name}: '{encoding}' is no known encoding. Write utf-8, cp1252, utf-16, ...") from problem
    if codecs.lookup(encoding).name == "utf-8":
        return Recoded(opened, "utf-8")

    def blocks() -> Generator[bytes]:
        decoder = made()
        try:
            with opened() as stream:
                for block in iter(lambda: stream.read(BLOCK), b""):
                    yield decoder.decode(block).encode()
            yield decoder.decode(b"", True).encode()
        except UnicodeError as problem:
            said = f"{name} is not in {encoding}: {problem.__class__.__name__}. Name another encoding."
            raise DataError(said) from problem

    return Recoded(lambda: flowing(blocks()), encoding)


def _is_mostly_utf8(content: bytes) -> bool:
    """Whether nearly all of the characters beyond ASCII are UTF-8."""
    text = content.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    beyond = sum(not char.isascii() for char in text)
    return beyond > 0 and broken / beyond <= 1 - MOSTLY


def _is_utf8(opened: Callable[[], BinaryIO]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with opened() as stream:
            for block in iter(lambda: stream.read(BLOCK), b""):
                decoder.decode(block)
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return False
    return True


def _guessed(name: str, opened: Callable[[], BinaryIO], first: bytes) -> Recoded:
    from charset_normalizer import from_bytes

    best = from_bytes(first).best()
    if best is None or b"\x00" in first:  # no text in another encoding, but one with broken bytes in it
        return Recoded(opened, "utf-8")
    encoding = best.encoding
    languages = next((known for pages, known in LATIN if encoding in pages), None)
    if languages is not None and language_of(str(best)) not in languages:
        encoding = "cp1252"  # the pages of Latin letters are hard to tell apart, and this is by far the commonest
    return _named(name, opened, encoding)
