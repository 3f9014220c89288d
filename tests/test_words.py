"""What counts as a word, in writing with spaces and without."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonneteer.words import LETTER, WORD, words_in

SCRIPTS = ("THAI ", "LAO ", "MYANMAR LETTER", "KHMER LETTER", "HIRAGANA LETTER", "KATAKANA LETTER", "CJK UNIFIED")


@given(st.text())
def test_the_fast_way_finds_what_the_plain_one_finds(text: str) -> None:
    assert words_in(text) == WORD.findall(text)


@given(st.text(st.characters(max_codepoint=0x0DFF)))
def test_words_of_writing_with_spaces_are_runs_of_letters_and_digits(text: str) -> None:
    assert words_in(text) == re.findall(r"\w+", text)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_letter_of_a_script_without_spaces_is_a_word(script: str) -> None:
    letters = [chr(code) for code in range(0x20000) if unicodedata.name(chr(code), "").startswith(script)]
    own = [letter for letter in letters if LETTER.match(letter)]
    assert len(own) > 0.6 * len(letters)
    assert words_in("".join(own)) == own


def test_words_between_letters_are_whole() -> None:
    assert words_in("用iPhone 15付款，30天内") == ["用", "iPhone", "15", "付", "款", "30", "天", "内"]
    assert words_in("한국어는 띄어 씁니다") == ["한국어는", "띄어", "씁니다"]
