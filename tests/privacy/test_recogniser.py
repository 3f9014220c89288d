"""The name recogniser, on sentences and names that it was not trained on."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonneteer.privacy.looks import BEGIN, END, TOKEN, Lexicon, Window, features_of, is_candidate, seen_of
from sonneteer.privacy.recogniser import Recogniser, bundled

BUNDLED = bundled()

MARKED = [
    "I met «Tobias Lindqvist» and «Agnieszka» at the Hilton in Oslo. Great food!",
    "hi i'm «priya», my laptop broke",
    "The Board of Directors met Mr. «Okonkwo» in Lagos.",
    "Customer: «Karim Benali», account 44",
    "«JOHN SMITH» was here",
    "Thank you for your order. Please read the Terms of Service.",
    "The Alps are in Europe; Microsoft is not.",
    "The Distributor shall indemnify the Supplier, and Licensee may terminate.",
    "Does Parkinson's disease come with Lyme disease? I take Metformin and Omeprazole.",
    "4. Choose the Refund Policy. 5. Press Save Changes.",
    "I told «Oyelaran» that «Nguyen Thi» had called.",
]


@pytest.mark.parametrize("marked", MARKED)
def test_names_are_told_from_other_capitalised_words(marked: str) -> None:
    text = marked.replace("«", "").replace("»", "")
    expected = [part.split("»")[0] for part in marked.split("«")[1:]]
    assert [text[start:end] for start, end in BUNDLED.names_in(text)] == expected


@given(st.text(max_size=100))
def test_any_text_gives_spans_within_it_in_their_order(text: str) -> None:
    ends = [0]
    for start, end in BUNDLED.names_in(text):
        assert ends[-1] <= start < end <= len(text)
        ends.append(end)


@given(st.lists(st.sampled_from(TOKEN.findall(" ".join(MARKED).replace("«", "").replace("»", ""))), max_size=12))
def test_the_laid_out_weights_say_what_the_features_say_one_by_one(tokens: list[str]) -> None:
    names, common = frozenset({"agnieszka", "john"}), frozenset({"in", "order", "thank"})
    lexicon = Lexicon(frozenset({"read"}), common, frozenset({"in"}), names, frozenset({"oslo"}))
    seen = [BEGIN, BEGIN, *(seen_of(token, lexicon) for token in tokens), END, END]
    features: dict[int, dict[bool, list[str]]] = {}
    for place, token in enumerate(tokens):
        if is_candidate(seen[place + 1], seen[place + 2]):
            small = token.lower() in tokens and token.lower() != token
            features[place] = {
                follows: features_of(Window(*seen[place : place + 5], follows, small)) for follows in (False, True)
            }
    known = {one for both in features.values() for ours in both.values() for one in ours}
    weights = {feature: (hash_of(feature) % 21 - 10) / 4 for feature in known}
    scores = Recogniser(weights, lexicon).scores(tokens)
    assert list(scores) == list(features)
    for place, score in scores.items():
        follows = scores.get(place - 1, 0.0) > 0.0
        assert score == pytest.approx(sum(weights[one] for one in features[place][follows]))


def hash_of(text: str) -> int:
    return zlib.crc32(text.encode())
