"""The name recogniser, on sentences and names that it was not trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonneteer.privacy.looks import EDGE, TOKEN, Lexicon, seen_of
from sonneteer.privacy.recogniser import Floats, Net, Recogniser, bundled

Doubles = np.ndarray[Any, np.dtype[np.float64]]
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
    assert [text[start:end] for start, end in BUNDLED.names_in([text])[0]] == expected


@given(st.text(max_size=100))
def test_any_text_gives_spans_within_it_in_their_order(text: str) -> None:
    ends = [0]
    for start, end in BUNDLED.names_in([text])[0]:
        assert ends[-1] <= start < end <= len(text)
        ends.append(end)


@given(st.lists(st.sampled_from(MARKED) | st.text(max_size=20)))
def test_texts_that_are_looked_at_together_do_not_see_each_other(texts: list[str]) -> None:
    assert BUNDLED.names_in(texts) == [BUNDLED.names_in([text])[0] for text in texts]


CLUES = ["wjohn", "bTfl", "3met", "wthe", "fE", "w" + EDGE, "fx", "qag"]
KNOWN = Lexicon(*map(frozenset, ({"read"}, {"in", "thank"}, {"in"}, {"agnieszka", "john"}, {"smith"}, {"oslo"})))
SHAPES = Net(rows=(len(CLUES) + 1, 3), first=(15, 4), second=(20, 4), last=(4, 1), bias=(2, 4))  # type: ignore[arg-type]


@given(st.integers(0, 99), st.lists(st.sampled_from(TOKEN.findall(" ".join(MARKED))), max_size=12))
def test_the_net_says_exactly_what_double_precision_says_token_by_token(seed: int, tokens: list[str]) -> None:
    rng = np.random.default_rng(seed)
    net = Net(*(rng.integers(-127, 128, shape).astype(np.float32) for shape in SHAPES))
    [scores] = Recogniser(net, CLUES, KNOWN).scores([tokens])
    around = [EDGE] * 4 + tokens + [EDGE] * 4
    looks = [_look(net, token) for token in around]
    hidden = [_hidden(looks[place : place + 5], net.first, net.bias[0]) for place in range(len(looks) - 4)]
    for place, score in scores.items():
        assert (
            score == _hidden(hidden[place : place + 5], net.second, net.bias[1]) @ net.last[:, 0].astype(float) / 1024
        )


def _look(net: Net, token: str) -> Doubles:
    rows = [CLUES.index(clue) + 1 for clue in seen_of(token, KNOWN).clues if clue in CLUES]
    return np.clip(net.rows[rows].astype(float).sum(axis=0), -127, 127)


def _hidden(window: list[Doubles], weights: Floats, bias: Floats) -> Doubles:
    return np.clip(np.rint(np.concatenate(window) @ weights.astype(float) / 32 + bias), 0, 127)
