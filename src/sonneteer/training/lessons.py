"""What examples become for an objective: the sequences that belong together, and what else is known of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from sonneteer.models.forest import Forest, balanced, common_prefix, plant, sort_order
from sonneteer.models.head import Head
from sonneteer.models.logprobs import head_of, hidden_states
from sonneteer.models.render import TemplateRenderer
from sonneteer.recipe.learning import COMPARING, Objective
from sonneteer.records import Example, Rendered


class Lesson(NamedTuple):
    """One example as its objective reads it. Its sequences are never parted between micro-batches."""

    sequences: list[Rendered]
    """For a comparison the better answer first, then the worse one."""
    labels: tuple[bool | None, ...] = ()
    """For unpaired feedback: whether people liked each sequence; None for an answer to another question."""
    references: tuple[float, ...] = ()
    """Log-probability of each sequence's learned tokens under the starting model."""
    baseline: float = 0.0
    """What the batch at large says: see `Kto`."""
    example: Example | None = None
    """What is asked, where answers are drawn in training."""
    rewards: tuple[float, ...] = ()
    """What the drawn answers were worth."""

    @property
    def learned_tokens(self) -> int:
        """Tokens that the loss counts. Nothing predicts a first one."""
        return sum(weight != 0 for sequence in self.sequences for weight in sequence.weights[1:])


class Material(NamedTuple):
    """What is learned and what is watched: a lesson of each example."""

    train: list[Lesson]
    validation: list[Lesson]
    names: list[str]
    """What to call each training example, and then each replayed one, when something goes wrong with it."""
    replay: Sequence[Lesson] = ()
    """General examples against forgetting, of which each epoch takes some."""
    people: Sequence[str] = ()
    """Whose each training example is, by its tag `person`; empty where it has none."""

    def lessons(self, indices: Sequence[int]) -> list[Lesson]:
        """Training lessons by their numbers; those of general examples follow."""
        count = len(self.train)
        return [self.train[i] if i < count else self.replay[i - count] for i in indices]


class Part(NamedTuple):
    """Lessons that are computed at once. The forest holds their sequences in the lessons' order."""

    lessons: list[Lesson]
    forest: Forest


class Reading(NamedTuple):
    """What a network makes of a part: last hidden states (N, D) and output layer."""

    hidden_ND: torch.Tensor
    head: Head
    part: Part


def read(network: PreTrainedModel, part: Part) -> Reading:
    """One pass of a part through a network."""
    return Reading(hidden_states(network, part.forest), head_of(network), part)


def parts(lessons: Sequence[Lesson], unique_tokens: int, device: torch.device) -> Iterator[Part]:
    """Cut a batch into parts of at most `unique_tokens` unique tokens, lessons that begin alike together.

    A single lesson that is larger is a part of its own.
    """
    for group in _groups(lessons, unique_tokens):
        together = [lessons[i] for i in group]
        sequences = [sequence for lesson in together for sequence in lesson.sequences]
        yield Part(together, plant(sequences).to(device))


def _groups(lessons: Sequence[Lesson], unique_tokens: int) -> list[list[int]]:
    ids = [[np.asarray(sequence.ids, dtype=np.int64) for sequence in lesson.sequences] for lesson in lessons]
    firsts = [first for first, *_ in ids]
    order = sort_order(firsts)
    shared = [0, *(common_prefix(firsts[a], firsts[b]) for a, b in pairwise(order))]
    more = [sum(len(other) - common_prefix(firsts[i], other) for other in ids[i][1:]) for i in order]
    tokens = [len(firsts[i]) + others for i, others in zip(order, more, strict=True)]
    return balanced(order, tokens, shared, unique_tokens)


def groups_of(lessons: Sequence[Lesson], most: int) -> list[list[int]]:
    """Lessons that begin alike, at most so many together: neighbours share half of the shorter one's tokens or more."""
    firsts = [np.asarray(lesson.sequences[0].ids, dtype=np.int64) for lesson in lessons]
    groups: list[list[int]] = []
    for i in sort_order(firsts):
        if groups and len(groups[-1]) < most:
            neighbour = firsts[groups[-1][-1]]
            if 2 * common_prefix(neighbour, firsts[i]) >= min(len(neighbour), len(firsts[i])):
                groups[-1].append(i)
                continue
        groups.append([i])
    return groups


def lessons_of(examples: Sequence[Example], renderer: TemplateRenderer, objective: Objective) -> list[Lesson]:
    """Render examples for an objective."""
    if objective in COMPARING:
        return [_compared(example, renderer) for example in examples]
    if objective == "kto":
        return [_judged(examples, i, renderer) for i in range(len(examples))]
    if objective == "grpo":
        return [Lesson([renderer.answer(example)], example=example) for example in examples]
    return [Lesson(renderer.render(example)) for example in examples]


def _compared(example: Example, renderer: TemplateRenderer) -> Lesson:
    rejected = example.as_rejected
    assert rejected is not None, "the data room keeps only pairs for this objective"
    return Lesson([renderer.answer(example), renderer.answer(rejected)])


def _judged(examples: Sequence[Example], index: int, renderer: TemplateRenderer) -> Lesson:
    """The answer, or both of a pair, and the next example's answer to this question: what is likely anyway."""
    example, other = examples[index], examples[(index + 1) % len(examples)]
    sequences, labels = [renderer.answer(example)], [example.label is not False]
    if example.as_rejected is not None:
        sequences, labels = [*sequences, renderer.answer(example.as_rejected)], [True, False]
    return Lesson([*sequences, renderer.answer(example.with_answer(other.answer))], (*labels, None))
