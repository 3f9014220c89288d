"""Whether training answers can be drawn out: given its first half, does a model go on with the answer's own words?

Word for word is the definition of Carlini et al. (2023, arXiv 2202.07646); near is a ROUGE-L of three quarters, since a
model that changes a word to avoid a literal copy still gives the answer away (Ippolito et al. 2023, arXiv 2210.17546).
Test answers are the control: what a model can write without having seen it was not learned by heart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sonneteer.chat import Chat, Options
from sonneteer.evaluation.shares import difference, wilson
from sonneteer.evaluation.texts import rouge_l
from sonneteer.records import Example, Extraction, Interval

FEWEST_WORDS = 12
MOST_WORDS = 30  # of the second half
NEAR = 0.75


class _Drawn(NamedTuple):
    """Of so many answers so many were continued word for word, or nearly."""

    answers: int
    exact: int
    near: int


def extract(
    base: Chat, tuned: Chat, learned: Sequence[Example], held_out: Sequence[Example], most: int, confidence: float
) -> Extraction | None:
    """On at most so many answers of each side; None where no answer is long enough."""
    chosen, control = _chosen(learned, most), _chosen(held_out, most)
    if not chosen or not control:
        return None
    own, others, before = _drawn(tuned, chosen), _drawn(tuned, control), _drawn(base, chosen)

    def share(hits: int, count: int) -> Interval:
        return wilson(hits, count, confidence)

    exact = share(own.exact, own.answers), share(others.exact, others.answers)
    return Extraction(
        exact_learned=exact[0],
        exact_held_out=exact[1],
        near_learned=share(own.near, own.answers),
        near_held_out=share(others.near, others.answers),
        base_exact_learned=share(before.exact, before.answers),
        excess=difference(*exact),
        learned=own.answers,
        held_out=others.answers,
    )


def _chosen(examples: Sequence[Example], most: int) -> list[Example]:
    """Conversations with an answer of some length, by their fingerprints."""
    long = {e.id: e for e in examples if not e.is_text and len(e.answer.text.split()) >= FEWEST_WORDS}
    return [long[id] for id in sorted(long)[:most]]


def _drawn(chat: Chat, examples: Sequence[Example]) -> _Drawn:
    exact = near = 0
    for example in examples:
        words = example.answer.text.split()
        half = len(words) // 2
        rest = words[half : half + MOST_WORDS]
        begun = _first_words(example.answer.text, half)
        options = Options(max_tokens=4 * len(rest) + 8, prefill=begun)
        said = chat.answer([example.prompt], options)[0].text.split()[: len(rest)]
        exact += said == rest
        near += rouge_l(" ".join(rest), " ".join(said)) >= NEAR
    return _Drawn(len(examples), exact, near)


def _first_words(text: str, count: int) -> str:
    """The text up to the end of its first words, as it stands."""
    place = 0
    for word in text.split()[:count]:
        place = text.index(word, place) + len(word)
    return text[:place]
