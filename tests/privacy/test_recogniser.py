"""The name recogniser, on sentences and names that it was not trained on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonneteer.privacy.recogniser import bundled

MARKED = [
    "I met «Tobias Lindqvist» and «Agnieszka» at the Hilton in Oslo. Great food!",
    "hi i'm «priya», my laptop broke",
    "The Board of Directors met Mr. «Okonkwo» in Lagos.",
    "Customer: «Karim Benali», account 44",
    "«JOHN SMITH» was here",
    "Thank you for your order. Please read the Terms of Service.",
    "The Alps are in Europe; Microsoft is not.",
]


@pytest.mark.parametrize("marked", MARKED)
def test_names_are_told_from_other_capitalised_words(marked: str) -> None:
    text = marked.replace("«", "").replace("»", "")
    expected = [part.split("»")[0] for part in marked.split("«")[1:]]
    assert [text[start:end] for start, end in bundled().names_in(text)] == expected


@given(st.text(max_size=100))
def test_any_text_gives_spans_within_it_in_their_order(text: str) -> None:
    ends = [0]
    for start, end in bundled().names_in(text):
        assert ends[-1] <= start < end <= len(text)
        ends.append(end)
