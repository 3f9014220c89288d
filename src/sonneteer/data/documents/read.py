"""The text of a document with the page or heading that each part stands under, and what of it cannot be read.

Word and HTML are written as Markdown, so that headings and tables stay what they are.
"""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parseaddr
from functools import partial
from pathlib import PurePath
from typing import Any, NamedTuple

from sonneteer.data.encodings import recoded
from sonneteer.errors import DataError, ExtraError

HEADING = re.compile(r"^(#{1,6})[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
BROKEN_WORD = re.compile(r"(?<=[^\W\d_])-\n(?=[a-zß-ÿ])")
SCRIPTS = ("script", "style", "noscript", "template", "head")
WORDLESS = ("image", "audio", "video")
"""Kinds of attachments, such as a logo, of which nobody expects a text."""
HEADERS = ("Subject", "From", "To", "Date")
NO_TEXT = "the document holds no text"
SCANNED = "holds a picture and no text. If it is a scan, recognise its text first (OCR)"
LONGEST_PROBLEM = 120


class Part(NamedTuple):
    """Text that has a place of its own in its document."""

    text: str
    page: int | None = None
    section: str = ""
    """The headings that it stands under, from the outermost."""


class Document(NamedTuple):
    """What a document says, what of it cannot be read, and whose it is."""

    parts: list[Part]
    problems: list[str]
    person: str = ""


def read_document(name: str, content: bytes, encoding: str = "auto") -> Document:
    """What a document says. What is broken is told by page, or as a whole; nothing is raised but for lack of a library.

    Raises ExtraError where the library for this kind of document is not installed.
    """
    try:
        document = DOCUMENTS[PurePath(name).suffix.lower()](name, content, encoding)
    except DataError as problem:
        return Document([], [str(problem)])
    has_text = any(part.text.strip() for part in document.parts)
    return document if has_text or document.problems else Document([], [NO_TEXT])


def _pdf(name: str, content: bytes, encoding: str) -> Document:
    pypdf = _library("pypdf")
    with _told("the PDF"):
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise DataError("the PDF is locked with a password. Save it without one")
        count = len(reader.pages)
    document = Document([], [])
    for number in range(1, count + 1):
        try:
            with _told(f"page {number}"):
                text, has_picture = _page(reader.pages[number - 1])
        except DataError as problem:
            document.problems.append(str(problem))
            continue
        document.parts.append(Part(text, number))
        if has_picture:
            document.problems.append(f"page {number} {SCANNED}")
    return document


def _page(page: Any) -> tuple[str, bool]:
    text = BROKEN_WORD.sub("", page.extract_text()).strip()
    return text, not text and bool(page.images)


def _docx(name: str, content: bytes, encoding: str) -> Document:
    docx = _library("docx")
    with _told("the Word document"):
        blocks = docx.Document(io.BytesIO(content)).iter_inner_content()
        text = "\n\n".join(filter(None, (_block(block) for block in blocks)))
    return Document(list(sections_of(text)), [])


def _block(block: Any) -> str:
    """A paragraph or table as Markdown."""
    if hasattr(block, "rows"):
        rows = [" | ".join(" ".join(cell.text.split()) for cell in row.cells) for row in block.rows]
        return "\n".join(f"| {row} |" for row in rows)
    style = str(block.style.name if block.style is not None else "")
    level = re.fullmatch(r"Heading ([1-6])", style)
    if not block.text.strip():
        return ""
    mark = "#" * int(level[1]) if level else {"Title": "#", "List Bullet": "-", "List Number": "-"}.get(style, "")
    return f"{mark} {block.text.strip()}" if mark else str(block.text)


def _html(name: str, content: bytes, encoding: str) -> Document:
    return Document(list(sections_of(_text_of_html(content if encoding == "auto" else content.decode(encoding)))), [])


def _text_of_html(html: bytes | str) -> str:
    """The page's own words, without menus and footers; all of them where those cannot be told apart."""
    trafilatura, lxml = _library("trafilatura"), _library("lxml.html")
    with _told("the page"):
        text = trafilatura.extract(
            html, output_format="markdown", include_comments=False, include_formatting=True, favor_recall=True
        )
        if text or not html.strip():
            return text or ""
        root = lxml.document_fromstring(html)
        for element in list(root.iter(*SCRIPTS)):
            element.drop_tree()
        return str(root.text_content())


def _markdown(name: str, content: bytes, encoding: str) -> Document:
    return Document(list(sections_of(_decoded(name, content, encoding))), [])


def _plain(name: str, content: bytes, encoding: str) -> Document:
    return Document([Part(_decoded(name, content, encoding))], [])


def _mail(name: str, content: bytes, encoding: str) -> Document:
    """The letter with its subject, and the documents that are attached to it."""
    with _told("the e-mail"):
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        if not message.keys():
            raise DataError("the file is no e-mail: it has no headers")
        head = "\n".join(f"{name}: {message[name]}" for name in HEADERS if message[name])
        letter = Document([Part(f"{head}\n\n{_letter(message)}")], [], parseaddr(str(message["From"] or ""))[1].lower())
        attached = [
            (str(one.get_filename() or ""), one.get_payload(decode=True))
            for one in message.iter_attachments()
            if one.get_content_maintype() not in WORDLESS
        ]
    for name, inner in attached:
        if PurePath(name).suffix.lower() in DOCUMENTS and isinstance(inner, bytes):
            document = read_document(name, inner)
            letter.parts.extend(part._replace(section=part.section or name) for part in document.parts)
            letter.problems.extend(f"attachment {name}: {problem}" for problem in document.problems)
        else:
            letter.problems.append(f"attachment {name or 'without a name'} is no document that can be read")
    return letter


def _letter(message: EmailMessage) -> str:
    body = message.get_body(("plain", "html"))
    if body is None:
        return ""
    text = str(body.get_content())
    return _text_of_html(text) if body.get_content_subtype() == "html" else text


DOCUMENTS: dict[str, Callable[[str, bytes, str], Document]] = {
    ".pdf": _pdf,
    ".docx": _docx,
    ".html": _html,
    ".htm": _html,
    ".md": _markdown,
    ".markdown": _markdown,
    ".txt": _plain,
    ".eml": _mail,
}


def sections_of(text: str) -> Iterator[Part]:
    """Markdown, cut before each heading. What looks like a heading in a block of code is none."""
    fences = [found.span() for found in FENCE.finditer(text)]
    headings = [
        found for found in HEADING.finditer(text) if not any(start <= found.start() < end for start, end in fences)
    ]
    starts = [*(found.start() for found in headings), len(text)]
    yield Part(text[: starts[0]])
    above: list[tuple[int, str]] = []
    for found, end in zip(headings, starts[1:], strict=True):
        level = len(found[1])
        above = [*(one for one in above if one[0] < level), (level, found[2].strip())]
        yield Part(text[found.start() : end], section=" > ".join(name for _, name in above))


def _decoded(name: str, content: bytes, encoding: str) -> str:
    with recoded(name, partial(io.BytesIO, content), encoding).opened() as stream:
        text = stream.read().decode("utf-8-sig", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as problem:
        raise ExtraError(
            f"Documents of this kind need the library {name.partition('.')[0]}, which does not load here ({problem}). "
            "Install it with pip install 'sonneteer[documents]'."
        ) from problem


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Whatever a library stumbles over in a broken document becomes a DataError that names the place."""
    try:
        yield
    except (DataError, ExtraError):
        raise
    except Exception as problem:
        said = f"{type(problem).__name__}: {problem}"[:LONGEST_PROBLEM]
        raise DataError(f"{what} cannot be read ({said})") from problem
