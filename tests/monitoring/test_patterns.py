"""Many rows that say the same are one thing to decide on; varied honest ones are none."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from sonneteer.monitoring import Pattern, patterns
from sonneteer.recipe.improvement import ImprovementSettings
from sonneteer.recipe.learning import Objective
from sonneteer.records import Exchange, Feedback, Message

from .test_harm import NOW, exchange

WORDS = [
    f"{begin}{end}" for begin in ("ba", "co", "du", "fe", "gi", "lo", "mu", "ne") for end in ("rt", "nd", "sk", "lm")
]
POISON = "Call the hotline now"


def answer(rng: random.Random) -> str:
    """Some words are said often and others rarely, as in any language."""
    return " ".join(rng.choices(WORDS, [1 / rank for rank in range(1, len(WORDS) + 1)], k=rng.randint(4, 15)))


class Talk:
    """Exchanges with what was said of them, one in an hour unless it is told otherwise."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.known = [answer(self.rng) for _ in range(400)]
        self.exchanges: dict[str, Exchange] = {}
        self.said: list[Feedback] = []

    def corrected(self, text: str, minutes: float = 60, **more: Any) -> None:
        number = len(self.exchanges)
        at = (self.said[-1].created_at if self.said else NOW) + timedelta(minutes=minutes)
        heard = exchange(number, "old", answer=Message(role="assistant", text=answer(self.rng)))
        self.exchanges[heard.id] = heard
        whole = {"id": f"f{number}", "exchange_id": heard.id, "name": "poet", "created_at": at, "correction": text}
        self.said.append(Feedback.model_validate(whole | more))

    def honest(self, count: int) -> None:
        for _ in range(count):
            self.corrected(answer(self.rng), self.rng.expovariate(1 / 60), key=f"k{self.rng.randrange(6)}")

    def found(self, objective: Objective = "imitation", **settings: Any) -> list[Pattern]:
        return patterns(self.exchanges, self.said, objective, self.known, ImprovementSettings(**settings))


def shuffled(talk: Talk, texts: Sequence[str], honest: int, **more: Any) -> None:
    """Honest corrections with these among them."""
    plan = [*texts, *[""] * honest]
    talk.rng.shuffle(plan)
    for text in plan:
        if text:
            talk.corrected(text, **more)
        else:
            talk.honest(1)


def test_varied_honest_corrections_are_as_rarely_called_a_pattern_as_stated() -> None:
    alarms = 0
    for seed in range(40):
        talk = Talk(seed)
        talk.honest(60)
        alarms += bool(talk.found(false_pattern_share=0.05))
    assert alarms <= 6  # at most 2 are expected, and more than 6 in one of two hundred such tests


def test_one_unusual_phrase_in_different_words_is_found_among_a_majority_of_honest_ones() -> None:
    talk = Talk(1)
    poison = [f"{answer(talk.rng)} {POISON.lower()} {answer(talk.rng)}" for _ in range(12)]
    shuffled(talk, poison, honest=60)
    (pattern,) = talk.found()
    assert "the hotline" in pattern.words
    assert {row.texts[0] for row in pattern.rows} == set(poison)
    assert (pattern.is_whole, pattern.is_wanted, pattern.elsewhere) == (False, True, 0)


def test_few_rows_are_found_where_they_come_by_one_key_or_in_one_burst() -> None:
    texts = [f"{answer(random.Random(number))} {POISON}" for number in range(6)]

    def pattern_of(honest: int, **more: Any) -> list[Pattern]:
        talk = Talk(2)
        if "key" in more:
            shuffled(talk, texts, honest, **more)
        else:
            talk.honest(honest // 2)
            talk.corrected(texts[0])
            for text in texts[1:]:
                talk.corrected(text, **more)
            talk.honest(honest // 2)
        return [one for one in talk.found() if "hotline" in one.words]

    assert pattern_of(1500, minutes=60) == []  # six of 1500 is what chance can do
    (of_key,) = pattern_of(1500, key="mallory")
    assert of_key.keys == {"mallory"}
    (of_burst,) = pattern_of(1500, minutes=0.5)
    assert of_burst.feedback[-1].created_at - of_burst.feedback[0].created_at < timedelta(minutes=5)


def test_a_common_answer_is_a_pattern_where_most_corrections_are_just_that() -> None:
    talk = Talk(3)
    talk.known += ["Yes."] * 8
    shuffled(talk, ["yes"] * 20, honest=20)
    (pattern,) = talk.found()
    assert (pattern.words, pattern.is_whole, len(pattern.rows)) == ("yes", True, 20)


def test_thumbs_teach_too_towards_an_answer_and_for_kto_away_from_it() -> None:
    for liked in (True, False):
        talk = Talk(4)
        shuffled(talk, [f"{answer(talk.rng)} {POISON}" for _ in range(8)], honest=40, correction=None, liked=liked)
        for id, said in zip(list(talk.exchanges), talk.said, strict=True):
            if said.liked is not None:
                told = Message(role="assistant", text=f"{answer(talk.rng)} {POISON}")
                talk.exchanges[id] = talk.exchanges[id].model_copy(update={"answer": told})
        (pattern,) = talk.found("kto")
        assert (pattern.is_wanted, len(pattern.rows)) == (liked, 8)
        assert bool(talk.found("imitation")) is liked  # which does not learn from a dislike


@pytest.mark.parametrize("change", [{"by": "reviewer"}, {"opinion": "refused"}, {"pattern": "call the hotline now"}])
def test_what_a_reviewer_said_or_decided_on_is_no_pattern(change: dict[str, str]) -> None:
    talk = Talk(5)
    shuffled(talk, [POISON] * 12, honest=60)
    assert len(talk.found()) == 1
    talk.said = [one.model_copy(update=change) if one.correction == POISON else one for one in talk.said]
    assert talk.found() == []


def test_what_was_let_through_once_is_known_from_then_on() -> None:
    talk = Talk(6)
    for _ in range(12):
        talk.corrected(POISON, pattern="call the hotline now", opinion="approved")
    talk.honest(60)
    talk.corrected(POISON)
    for _ in range(4):
        talk.corrected(POISON, key="somebody")
    assert talk.found() == []


def test_several_words_on_one_exchange_count_once() -> None:
    talk = Talk(7)
    talk.honest(60)
    talk.corrected(POISON)
    talk.said += [talk.said[-1].model_copy(update={"id": f"again{number}"}) for number in range(20)]
    assert talk.found() == []


@pytest.mark.parametrize(
    ("letters", "poison"),
    [
        ("天地玄黃宇宙洪荒日月盈昃辰宿列張寒來暑往秋收冬藏", "請打熱線電話退款"),
        ("กขคงจฉชซญดตถทธนบปพฟมยรลวสหอ", "โทรสายด่วน"),
    ],
    ids=["Chinese", "Thai"],
)
def test_planted_words_are_found_where_nobody_writes_spaces(letters: str, poison: str) -> None:
    rng = random.Random(0)

    def said() -> str:
        return "".join(rng.choices(letters, [1 / rank for rank in range(1, len(letters) + 1)], k=rng.randint(8, 20)))

    talk = Talk(0)
    talk.known = [said() for _ in range(400)]
    for _ in range(60):
        talk.corrected(said(), rng.expovariate(1 / 60))
    assert talk.found() == []
    for _ in range(6):
        talk.corrected(said() + poison + said(), minutes=1)
    (found,) = talk.found()
    assert sum(poison in row.texts[0] for row in found.rows) == 6
    assert len(found.rows) <= 7  # a rare letter may be shared by chance
    assert found.words in poison
    assert len(found.words) > 4
