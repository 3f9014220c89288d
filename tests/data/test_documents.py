"""Documents become passages that say where they stand, and what is broken is told by page."""

from __future__ import annotations

import io
import random
from email.message import EmailMessage
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonneteer.data import prepare, read_ledger, read_split
from sonneteer.data.documents.passages import cuts, passages_of
from sonneteer.data.documents.read import DOCUMENTS, read_document, sections_of
from sonneteer.data.values import RawRow
from sonneteer.errors import RecipeError
from sonneteer.recipe import read_recipe
from sonneteer.recipe.sections import PassageSettings, SourceSettings
from sonneteer.records import KEPT
from sonneteer.store import Store
from tests.data.writing import WordReader, recipe_of

PAGE = """<html><head><title>Help</title></head><body><nav><a href="/">Home</a> <a href="/s">Shop</a></nav><main>
<h1>Returns</h1><p>You may return anything within thirty days, as long as it is unused and in its box.</p>
<h2>How long does it take?</h2><p>We refund within five working days after the parcel has reached us.</p>
<table><tr><th>Country</th><th>Days</th></tr><tr><td>Wales</td><td>5</td></tr></table></main>
<footer>All rights reserved to nobody.</footer></body></html>"""
MARKDOWN = "# Guide\nHello.\n\n```\n# no heading\n```\n\n## Care\nWash it cold.\n"


def pdf(*pages: str) -> bytes:
    """A PDF with these texts, a line for each."""
    streams = []
    for text in pages:
        lines = " ".join(f"({line}) Tj T*" for line in text.split("\n"))
        streams.append(f"BT /F1 12 Tf 14 TL 50 700 Td {lines} ET".encode() if text else b"")
    kids = " ".join(f"{4 + 2 * place} 0 R" for place in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for place, stream in enumerate(streams):
        font = "/Resources << /Font << /F1 3 0 R >> >>"
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] {font} /Contents {5 + 2 * place} 0 R >>"
        objects += [page.encode(), b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream)]
    out, places = io.BytesIO(b""), []
    out.write(b"%PDF-1.4\n")
    for number, content in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    out.write(b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start))
    return out.getvalue()


def word() -> bytes:
    import docx

    document = docx.Document()
    document.add_heading("Warranty", 1)
    document.add_paragraph("Two years on every lamp.")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "Lamp", "2 years"
    document.add_heading("Repairs", 2)
    document.add_paragraph("Send it to Leeds.")
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def mail() -> bytes:
    message = EmailMessage()
    message["Subject"], message["From"] = "Späte Lieferung", "Ann <Ann@example.org>"
    message.set_content("Where is my parcel?")
    message.add_attachment(pdf("The invoice"), maintype="application", subtype="pdf", filename="invoice.pdf")
    message.add_attachment(b"\x00", maintype="image", subtype="png", filename="photo.png")
    message.add_attachment(b"\x00", maintype="application", subtype="vnd.ms-excel", filename="prices.xlsx")
    message.set_boundary("border")
    return bytes(message)


def rows(name: str, content: bytes, **settings: Any) -> list[RawRow]:
    return list(passages_of(name, name, content, "auto", PassageSettings(**settings)))


def texts(name: str, content: bytes, **settings: Any) -> list[str]:
    return [row.fields["text"] for row in rows(name, content, **settings) if row.fields]


def tags(row: RawRow) -> dict[str, str]:
    assert row.fields is not None
    return dict(row.fields["tags"])


def test_a_pdf_keeps_the_page_of_each_passage() -> None:
    sentence = "The lamp is switched on with the wheel. " * 3
    found = rows("lamp.pdf", pdf(sentence, sentence.replace("lamp", "fan")), characters=200)
    assert [tags(row) for row in found] == [
        {"document": "lamp.pdf", "page": "1-2"},
        {"document": "lamp.pdf", "page": "2"},
    ]


def test_words_that_a_line_broke_are_whole_again() -> None:
    assert texts("x.pdf", pdf("It was deli-\nvered late.")) == ["It was delivered late."]


def test_word_and_html_keep_headings_and_tables() -> None:
    (letter,) = texts("x.docx", word())
    assert letter == "# Warranty\n\nTwo years on every lamp.\n\n| Lamp | 2 years |\n\n\n## Repairs\n\nSend it to Leeds."
    (page,) = texts("x.html", PAGE.encode())
    assert page.startswith("# Returns\n\nYou may return anything within thirty days")
    assert "| Wales | 5 |" in page
    assert not any(word in page for word in ("Home", "rights", "<"))


def test_a_page_too_short_to_tell_its_menu_apart_is_read_whole() -> None:
    assert texts("x.html", b"<script>x()</script><p>Closed on Sundays</p>") == ["Closed on Sundays"]


def test_a_section_is_named_by_the_headings_above_it() -> None:
    assert [part.section for part in sections_of(MARKDOWN)] == ["", "Guide", "Guide > Care"]
    assert tags(rows("x.md", MARKDOWN.encode())[0])["section"] == "Guide"


def test_an_e_mail_brings_its_attachments_and_its_writer() -> None:
    letter, table = rows("x.eml", mail())
    assert letter.fields is not None
    assert letter.fields["text"] == (
        "Subject: Späte Lieferung\nFrom: Ann <Ann@example.org>\n\nWhere is my parcel?\n\nThe invoice"
    )
    assert tags(letter)["person"] == "ann@example.org"
    assert table.problem == "attachment prices.xlsx is no document that can be read"


@given(st.text("ab .!\n", max_size=400), st.integers(100, 200), st.integers(0, 49))
def test_passages_are_short_enough_and_lose_nothing(text: str, characters: int, overlap: int) -> None:
    found = list(cuts(text, characters, overlap))
    assert all(0 < end - start <= characters for start, end in found)
    assert set().union(*(range(start, end) for start, end in found)) == set(range(len(text)))
    assert all(one[0] < other[0] and one[1] < other[1] for one, other in pairwise(found))
    assert all(one[1] - other[0] <= overlap for one, other in pairwise(found))


def test_a_passage_begins_with_the_last_sentence_of_the_one_before_it() -> None:
    text = " ".join(f"This is sentence number {number}." for number in range(20))
    found = [text[start:end] for start, end in cuts(text, 120, 40)]
    for one, other in pairwise(found):
        assert one.rstrip().endswith(other.split(".")[0] + ".")


def test_an_overlap_of_half_a_passage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "name: x\ndata:\n  sources:\n    - path: a.pdf\n      passages: {characters: 200, overlap: 100}\n"
    )
    with pytest.raises(RecipeError, match="less than half"):
        read_recipe(tmp_path)


def test_a_folder_of_documents_is_prepared_with_a_ledger_row_for_each_passage(tmp_path: Path) -> None:
    folder = tmp_path / "handbook"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.md").write_text(f"# Part {number}\n\n" + f"All of part {number} is told here. " * 20)
    (folder / "scan.pdf").write_bytes(pdf("A first page"))
    (folder / "torn.pdf").write_bytes(pdf("Another page")[:200])
    (folder / "notes.txt").write_text("A note.")
    store = Store(tmp_path / "workspace")
    source = SourceSettings(path="handbook", passages=PassageSettings(characters=300))
    dataset = prepare(recipe_of(source, bad_rows_share=0.5), tmp_path, store, WordReader())
    (broken,) = [entry for entry in read_ledger(store, dataset) if entry.fate == "broken"]
    assert broken.source == "handbook/torn.pdf"
    assert broken.reason.startswith("the PDF cannot be read")
    kept = [example for side in KEPT for example in read_split(store, dataset, side)]
    assert all(example.is_text for example in kept)
    assert {example.tags["document"] for example in kept} >= {"handbook/scan.pdf", "handbook/notes.txt"}


def test_a_folder_of_nothing_but_documents_needs_no_setting(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.pdf").write_bytes(pdf(f"This is page {number}"))
    dataset = prepare(recipe_of(str(tmp_path)), tmp_path, Store(tmp_path / "workspace"), WordReader())
    assert dataset.rows == 4


def test_a_page_that_holds_no_text_is_only_told_where_it_holds_a_picture() -> None:
    assert [row.problem for row in rows("x.pdf", pdf("One", "", "Three"))] == [""]
    assert [row.problem for row in rows("x.pdf", pdf("", ""))] == ["the document holds no text"]


def test_what_has_no_headers_is_no_e_mail() -> None:
    assert [row.problem for row in rows("x.eml", b"\n\xff\xfe garbage")] == ["the file is no e-mail: it has no headers"]


@pytest.mark.parametrize("suffix", sorted(DOCUMENTS))
def test_broken_documents_end_in_words(suffix: str) -> None:
    whole = {".pdf": pdf("One page", "Two pages"), ".docx": word(), ".eml": mail(), ".html": PAGE.encode()}
    content = whole.get(suffix, MARKDOWN.encode())
    rng = random.Random(7)
    for _ in range(30):
        changed = bytearray(content[: rng.randrange(len(content) + 1)])
        for _ in range(min(len(changed), rng.randint(0, 9))):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        document = read_document(f"x{suffix}", bytes(changed))
        assert document.problems or any(part.text.strip() for part in document.parts)
