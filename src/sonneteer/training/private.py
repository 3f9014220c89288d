"""Differentially private training (DP-SGD, Abadi et al. 2016, arXiv 1607.00133).

Each step learns from a Poisson sample of the units, examples or people. The gradient of each unit is computed for
itself, exactly as in any other training, and shortened to the clip; noise is added to the sum. What a run may say of
any unit is then bounded by epsilon and delta, which Opacus' PRV accountant (arXiv 2106.02848) adds up.
"""

from __future__ import annotations

import math
import random
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from sonneteer.errors import ExtraError, RecipeError
from sonneteer.recipe.sections import TrainingSettings
from sonneteer.records import PrivacySpent
from sonneteer.training.lessons import Lesson, Material

DELTA_SHARE = 0.1  # of one divided by the number of units


class Budget(NamedTuple):
    """What a private run adds, and what it promises."""

    noise: float
    """Standard deviation of the noise, in clips."""
    sampling_share: float
    """Chance of each unit to take part in a step."""
    delta: float
    units: int
    largest: int | None
    """Training examples of the person who has most of them; None where no example has the tag `person`."""


@dataclass(frozen=True)
class PoissonSampler:
    """Batches in which each unit takes part by chance, on its own: what the accountant reckons with."""

    units: int
    batch_size: int
    epochs: float
    seed: int

    @property
    def steps(self) -> int:
        """Steps in which each unit takes part `epochs` times, on average."""
        return max(1, math.ceil(self.epochs * self.units / self.batch_size))

    def batch(self, step: int) -> list[int]:
        """The units of a step (from 1): `batch_size` on average, and perhaps none."""
        rng, share = random.Random(f"{self.seed}-poisson-{step}"), self.batch_size / self.units
        return [unit for unit in range(self.units) if rng.random() < share]


@dataclass
class PrivateGradients:
    """Sums the gradients of units, each shortened to the clip, and adds noise."""

    clip: float
    noise: float
    expected_units: float
    """By which the sum is divided: its mean must not tell how many there really were."""
    clipped_share: float = 0.0
    """Of the units of the last step."""

    def noised(
        self,
        units: Sequence[Lesson],
        gradients: Callable[[Lesson], tuple[float, int, int]],
        parameters: Sequence[torch.nn.Parameter],
    ) -> tuple[float, int, int]:
        """Leaves the noised mean in the parameters. `gradients` leaves those of one unit there.

        Returns the units' mean loss, 0 where there are none, their tokens, and their unique tokens.
        """
        sums = [torch.zeros_like(parameter) for parameter in parameters]
        told: list[tuple[float, int, int]] = []
        clipped = 0
        for unit in units:
            told.append(gradients(unit))
            clipped += self._add(sums, parameters)
        for parameter, total in zip(parameters, sums, strict=True):
            total.add_(torch.randn_like(total), alpha=self.noise * self.clip)
            parameter.grad = total.div_(self.expected_units)
        count = max(len(units), 1)
        self.clipped_share = clipped / count
        return sum(loss for loss, _, _ in told) / count, sum(n for _, n, _ in told), sum(u for _, _, u in told)

    @torch.no_grad()
    def _add(self, sums: Sequence[torch.Tensor], parameters: Sequence[torch.nn.Parameter]) -> bool:
        """Add one unit's gradient. Returns whether it had to be shortened."""
        own = [parameter.grad for parameter in parameters]
        norm = math.sqrt(sum(float(gradient.double().square().sum()) for gradient in own if gradient is not None))
        factor = min(1.0, self.clip / (norm + 1e-6))
        for total, gradient in zip(sums, own, strict=True):
            if gradient is not None:
                total.add_(gradient, alpha=factor)
        return norm > self.clip


def units_of(material: Material, settings: TrainingSettings) -> Material:
    """With all lessons of a person as one, where people are the unit. Examples without a person stand alone."""
    if settings.privacy.unit == "example":
        return material
    if not any(material.people):
        raise RecipeError(
            "training.privacy.unit is 'person', but no training example has the tag 'person'. Tag them, or say "
            "'example'."
        )
    together: dict[str, list[int]] = {}
    for index, person in enumerate(material.people):
        together.setdefault(person or f"\n{index}", []).append(index)
    return material._replace(
        train=[_merged([material.train[i] for i in own]) for own in together.values()],
        names=[material.names[own[0]] for own in together.values()],
    )


def _merged(lessons: Sequence[Lesson]) -> Lesson:
    return Lesson(
        [sequence for lesson in lessons for sequence in lesson.sequences],
        labels=tuple(label for lesson in lessons for label in lesson.labels),
        references=tuple(value for lesson in lessons for value in lesson.references),
    )


def budget_of(material: Material, settings: TrainingSettings, steps: int) -> Budget:
    """The least noise that keeps the promise over so many steps. `material` holds units.

    Raises RecipeError where a batch is larger than the data, and ExtraError without Opacus.
    """
    units, wanted = len(material.train), settings.privacy
    assert wanted.epsilon is not None, "the recipe says so"
    if settings.batch_size >= units:
        raise RecipeError(
            f"training.batch_size is {settings.batch_size}, but there are {units} {wanted.unit}s to draw from, and a "
            "private training must draw fewer than all. Make it smaller."
        )
    share, delta = settings.batch_size / units, wanted.delta or DELTA_SHARE / units
    times = Counter(person for person in material.people if person)
    return Budget(
        noise=_noise(wanted.epsilon, delta, share, steps),
        sampling_share=share,
        delta=delta,
        units=units,
        largest=max(times.values(), default=None),
    )


def spent(budget: Budget, settings: TrainingSettings, steps: int) -> PrivacySpent:
    """What so many steps have spent."""
    return PrivacySpent(
        epsilon=_epsilon(budget.noise, budget.delta, budget.sampling_share, steps),
        delta=budget.delta,
        noise=budget.noise,
        clip=settings.max_gradient_norm,
        sampling_share=budget.sampling_share,
        steps=steps,
        unit=settings.privacy.unit,
        units=budget.units,
        largest_multiplicity=budget.largest,
    )


def _noise(epsilon: float, delta: float, share: float, steps: int) -> float:
    """By halving: first with the fast accountant, whose epsilon is never less than that of the exact one."""
    low, high = 0.1, 1.0
    while _epsilon(high, delta, share, steps, "RDPAccountant") > epsilon:
        low, high = high, 2 * high
    for accountant, halvings in (("RDPAccountant", 8), ("PRVAccountant", 5)):
        for _ in range(halvings):
            middle = (low + high) / 2
            is_enough = _epsilon(middle, delta, share, steps, accountant) <= epsilon
            low, high = (low, middle) if is_enough else (middle, high)
        low = 0.8 * high
    return high


def _epsilon(noise: float, delta: float, share: float, steps: int, accountant: str = "PRVAccountant") -> float:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from opacus import accountants
    except ImportError as problem:
        raise ExtraError(
            "training.privacy needs a package that is not installed (opacus). Install it with: "
            "pip install 'sonneteer[private]'"
        ) from problem
    counting = getattr(accountants, accountant)()
    counting.history = [(noise, share, steps)]
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # where the fast one's best order is at an end: its epsilon is then larger still
        return float(counting.get_epsilon(delta=delta))
