"""Put conversations together from phrases: which turns they have, who writes, and what is said in each."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from sonneteer.recipes.support.chance import Dealer, Slots, drawn, shuffled
from sonneteer.recipes.support.phrases import Frame, Phrases, Topic, Voice, Words

SINGLE_QUESTIONS = 16
"""Conversations of one question, for each topic."""
GREETED_SHARE = 0.5
INTRODUCED_SHARE = 0.3
GROUP_WEIGHTS = {"new": 3, "returning": 4, "club member": 2, "business": 1}
"""How often each customer group writes."""

Kind = Literal["question", "question with number", "number", "follow-up", "goodbye"]
Plan = tuple[Kind, ...]
ORDER_PLANS: tuple[Plan, ...] = (
    ("question", "number"),
    ("question", "number"),
    ("question with number", "follow-up"),
    ("question", "number", "follow-up"),
    ("question with number", "follow-up", "goodbye"),
    ("question", "number", "follow-up", "goodbye"),
)
"""The customer's turns of the longer conversations about an order, once for each topic."""
OTHER_PLANS: tuple[Plan, ...] = (
    ("question", "follow-up"),
    ("question", "follow-up"),
    ("question", "follow-up", "follow-up"),
    ("question", "follow-up", "goodbye"),
    ("question", "follow-up", "follow-up", "goodbye"),
)
"""The same for topics that are not about an order."""


class Turn(NamedTuple):
    """One message."""

    role: str
    content: str


class Conversation(NamedTuple):
    """What is said, about what, by what kind of customer."""

    topic: str
    group: str
    turns: tuple[Turn, ...]


class Pair(NamedTuple):
    """A customer's turn and Pip's answer."""

    question: str
    answer: str


class Author:
    """Writes conversations in which no first question and no answer comes twice."""

    def __init__(self, voice: Voice, rng: random.Random) -> None:
        self._voice = voice
        self._rng = rng
        self._dealer = Dealer(rng)
        self._said: set[str] = set()

    def all_about(self, topic: Topic) -> Iterator[Conversation]:
        """One topic's conversations: many single questions, and each longer plan once."""
        for index in range(SINGLE_QUESTIONS):
            yield self.single(topic, has_number=topic.about_order and index % 2 == 1)
        for plan in ORDER_PLANS if topic.about_order else OTHER_PLANS:
            yield self._conversation(topic, plan)

    def single(self, topic: Topic, has_number: bool = False) -> Conversation:
        """A conversation of one question, with the order number in it or not."""
        return self._conversation(topic, ("question with number",) if has_number else ("question",))

    def _conversation(self, topic: Topic, plan: Plan) -> Conversation:
        while True:
            group = drawn({name: GROUP_WEIGHTS[name] for name in topic.groups}, self._rng)
            pairs = self._pairs(topic, plan, group)
            news = {pairs[0].question, *(pair.answer for pair in pairs)}
            if news.isdisjoint(self._said):
                self._said |= news
                return Conversation(topic.name, group, self._turns(pairs))

    def _turns(self, pairs: Sequence[Pair]) -> tuple[Turn, ...]:
        said = [(Turn("user", pair.question), Turn("assistant", pair.answer)) for pair in pairs]
        return (Turn("system", self._voice.house_rules), *(turn for both in said for turn in both))

    def _pairs(self, topic: Topic, plan: Plan, group: str) -> list[Pair]:
        slots = self._slots(topic)
        follow_ups = shuffled(topic.follow_ups, self._rng)
        pairs: list[Pair] = []
        for kind in plan:
            if kind == "number":
                pairs.append(self._number(topic, slots))
            elif kind == "follow-up":
                pairs.append(self._later(self._voice.follow_up, follow_ups.pop(), topic.about_order))
            elif kind == "goodbye":
                pairs.append(self._later(self._voice.goodbye, self._voice.goodbye_words, topic.about_order))
            else:
                pairs.append(self._first(topic, group, slots, has_number=kind == "question with number"))
        return pairs

    def _slots(self, topic: Topic) -> Slots:
        """What this customer's words stand for."""
        choices = {"product": self._voice.products[topic.products], **self._voice.slots}
        number = f"DM-{1000 + int(self._rng.random() * 9000)}"
        return {"number": number, **{name: self._dealer.deal(values) for name, values in choices.items()}}

    def _first(self, topic: Topic, group: str, slots: Slots, has_number: bool) -> Pair:
        phrase = self._dealer.deal(topic.questions)
        parts = [*self._beginning(group), phrase]
        answer = [self._spoken(topic.openings, phrase), self._spoken(topic.facts, phrase)]
        if has_number:
            parts.append(self._dealer.deal(self._voice.number.at_once))
            answer.append(self._dealer.deal(self._voice.number.noted))
        steps = topic.asks if topic.about_order and not has_number else topic.steps
        answer.append(self._spoken(steps, phrase))
        return self._pair(parts, answer, slots)

    def _beginning(self, group: str) -> Iterator[str]:
        if self._rng.random() < GREETED_SHARE:
            yield self._dealer.deal(self._voice.customer.greetings)
        if self._rng.random() < INTRODUCED_SHARE:
            yield self._dealer.deal(self._voice.customer.introductions[group])

    def _number(self, topic: Topic, slots: Slots) -> Pair:
        number = self._voice.number
        answer = [self._dealer.deal(number.thanks), self._spoken(topic.steps, "")]
        return self._pair([self._dealer.deal(number.when_asked)], answer, slots)

    def _later(self, frame: Frame, words: Words, about_order: bool) -> Pair:
        steps = frame.order_steps if about_order else frame.steps
        answer = [self._dealer.deal(phrases) for phrases in (frame.openings, words.facts, steps)]
        return self._pair([self._dealer.deal(words.questions)], answer, {})

    def _spoken(self, phrases: Phrases, question: str) -> str:
        """A phrase of an answer: it may only name what the question has named."""
        return self._dealer.deal(phrases, of=question)

    def _pair(self, question: Sequence[str], answer: Sequence[str], slots: Slots) -> Pair:
        said = f"{' '.join(answer)}\n{self._voice.sign_off}"
        return Pair(" ".join(question).format(**slots), said.format(**slots))
