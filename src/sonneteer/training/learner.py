"""A network that learns: one step for every objective and method. What differs is an argument."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import NamedTuple, TypeVar

import torch
from torch.optim import Optimizer
from transformers import PreTrainedModel

from sonneteer.errors import MachineError
from sonneteer.models.fused import shorten
from sonneteer.models.hardware import is_short
from sonneteer.models.layers import noisy_embeddings
from sonneteer.models.logprobs import head_of
from sonneteer.models.recompute import recompute_blocks
from sonneteer.models.trunk import Trunk
from sonneteer.recipe.sections import TrainingSettings
from sonneteer.training import checkpoint as saved
from sonneteer.training.lessons import Lesson, Material, Part, Reading, parts, read
from sonneteer.training.objectives import Objective
from sonneteer.training.optimizer import optimizers, set_learning_rate
from sonneteer.training.overfitting import Loss
from sonneteer.training.pages import keep_pages
from sonneteer.training.private import Budget, PrivateGradients, budget_of
from sonneteer.training.regularize import Anchor, Average

Result = TypeVar("Result")
SMALLEST_BUDGET = 64  # unique tokens; less than an example is no help


class StepFigures(NamedTuple):
    """What one step did."""

    loss: float
    gradient_norm: float
    tokens: int
    unique_tokens: int
    learned_tokens: int
    reward: float | None
    """Mean worth of the answers that were drawn, where the objective draws any."""


@dataclass
class Learner:
    """A network, what of it is trained, and how."""

    network: PreTrainedModel
    objective: Objective
    settings: TrainingSettings
    note: Callable[[str], None] = print
    trunk: Trunk | None = None
    """What the frozen lower blocks make of the material, where it is kept."""
    private: PrivateGradients | None = None
    """How the gradients of single units are hidden, in a differentially private training."""

    def __post_init__(self) -> None:
        keep_pages()
        self.budget = self.settings.micro_batch_tokens
        self.trained = [(name, p) for name, p in self.network.named_parameters() if p.requires_grad]
        if self.is_short:
            shorten(self.network)
        if self.settings.gradient_checkpointing == "on":
            recompute_blocks(self.network)
        self.optimizers: list[Optimizer] = optimizers(self.trained, self.settings)
        self.anchor = Anchor(self.network) if self.settings.anchor else None
        self.average = Average(self.weights(), self.settings.average) if self.settings.average else None

    def step(self, batch: Sequence[Lesson], rate: float, number: int = 1) -> StepFigures:
        """Learn from one batch, cut into micro-batches of at most `budget` unique tokens."""
        parameters = [parameter for _, parameter in self.trained]
        lessons = self.ready(batch, number) if self.private is None else list(batch)
        if self.private is None:
            loss, naive, unique = self._within_memory(lambda: self._gradients(lessons))
            norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.settings.max_gradient_norm))
        else:
            loss, naive, unique = self.private.noised(batch, partial(self._unit_gradients, number), parameters)
            norm = float(torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))
        if math.isfinite(loss) and math.isfinite(norm):
            set_learning_rate(self.optimizers, rate)
            for optimizer in self.optimizers:
                optimizer.step()
            if self.average is not None:
                self.average.follow(number)
        self._forget_gradients()
        learned = sum(lesson.learned_tokens for lesson in lessons)
        return StepFigures(loss, norm, naive, unique, learned, _mean_reward(lessons))

    def promise(self, units: Material, steps: int) -> Budget:
        """From now on hide single units, as the recipe says, over so many steps."""
        budget = budget_of(units, self.settings, steps)
        self.private = PrivateGradients(self.settings.max_gradient_norm, budget.noise, float(self.settings.batch_size))
        return budget

    def _unit_gradients(self, number: int, unit: Lesson) -> tuple[float, int, int]:
        """The same for a single unit of a private training."""
        lessons = self.ready([unit], number)
        return self._within_memory(lambda: self._gradients(lessons))

    def _gradients(self, lessons: Sequence[Lesson]) -> tuple[float, int, int]:
        """Loss, tokens and unique tokens of a batch, whose gradients are left to be used."""
        self._forget_gradients()
        self.network.train()
        total, learned = self.objective.total(lessons), sum(lesson.learned_tokens for lesson in lessons)
        loss, naive, unique = 0.0, 0, 0
        for part in parts(lessons, self.budget, self.network.device):
            length = part.forest.naive_tokens / part.forest.sequences
            with self.arithmetic():
                with noisy_embeddings(self.network, self.settings.embedding_noise, length):
                    reading = self._read(part)
                part_loss = self.objective.loss(reading) / (total or 1.0)
                if self.anchor is not None:
                    part_loss = part_loss + self.settings.anchor * self.anchor.loss(reading) / max(learned, 1)
            part_loss.backward()  # type: ignore[no-untyped-call]
            loss += float(part_loss.detach())
            naive, unique = naive + part.forest.naive_tokens, unique + part.forest.unique_tokens
        return loss, naive, unique

    def _read(self, part: Part) -> Reading:
        """One pass through the network; its lower blocks are left out where their states are kept."""
        sequences = [sequence for lesson in part.lessons for sequence in lesson.sequences]
        if self.trunk is None or not self.trunk.knows(sequences):
            return read(self.network, part)
        return Reading(self.trunk.hidden_states(part.forest, sequences), head_of(self.network), part)

    def _forget_gradients(self) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def _within_memory(self, compute: Callable[[], Result]) -> Result:
        """What `compute` gives. When memory runs out, it is computed again in smaller micro-batches: the same sums."""
        while True:
            try:
                return compute()
            except (MemoryError, RuntimeError) as problem:
                if not is_out_of_memory(problem):
                    raise
                if self.budget <= SMALLEST_BUDGET:
                    raise MachineError(
                        f"training.micro_batch_tokens: memory runs out even with {self.budget} unique tokens at once "
                        f"({problem}). Make data.max_tokens or training.rank smaller, or take a smaller base.model."
                    ) from problem
            self._forget_gradients()
            self.budget //= 2
            result = "dropout and noise fall otherwise now" if self._draws_chance else "the result stays the same"
            self.note(f"Memory ran out. Going on with {self.budget} unique tokens at once; {result}.")

    @property
    def _draws_chance(self) -> bool:
        """Whether chance is drawn for each micro-batch, so that another cut is another draw of the same expectation."""
        return self.settings.dropout > 0 or self.settings.embedding_noise > 0

    def validation_loss(self, examples: Sequence[Lesson]) -> float:
        """The objective's own loss on other examples, with the weights that would be kept."""
        with self.average.put_on() if self.average is not None else nullcontext():
            return self.loss_on(examples)

    @torch.no_grad()
    def loss_on(self, examples: Sequence[Lesson]) -> float:
        """The objective's validation loss with the weights as they are."""
        lessons = self.ready(examples, step=0)
        return self._within_memory(lambda: self._validation_loss(lessons))

    def _validation_loss(self, lessons: Sequence[Lesson]) -> float:
        return self._validation_sum(lessons) / (self.objective.total(lessons) or 1.0)

    def _validation_sum(self, lessons: Sequence[Lesson]) -> float:
        self.network.eval()
        pieces = parts(lessons, self.budget, self.network.device)
        with self.arithmetic():
            return sum(float(self.objective.validation_loss(self._read(part))) for part in pieces)

    @torch.no_grad()
    def losses_on(self, examples: Sequence[Lesson]) -> list[Loss]:
        """The same example by example; those without a learned token are left out."""
        lessons = self.ready(examples, step=0)
        told = [
            Loss(self._within_memory(partial(self._validation_sum, [one])), self.objective.total([one]))
            for one in lessons
        ]
        return [loss for loss in told if loss.weight]

    def ready(self, lessons: Sequence[Lesson], step: int) -> list[Lesson]:
        """The lessons as the objective wants them at a step."""
        with self.arithmetic():
            return self.objective.ready(self.network, lessons, step)

    def arithmetic(self) -> torch.autocast:
        """The number format of the products of matrices."""
        return torch.autocast(self.network.device.type, torch.bfloat16, enabled=self.is_short)

    @property
    def is_short(self) -> bool:
        """Whether frozen weights and products of matrices are bfloat16."""
        return is_short(self.settings.precision, self.network.device)

    def weights(self) -> saved.Tensors:
        """The trained parameters by name."""
        return {name: parameter.data for name, parameter in self.trained}

    def kept_weights(self) -> saved.Tensors:
        """What a run would leave behind now: the average of the weights, where there is one."""
        return self.weights() if self.average is None else self.average.tensors

    @torch.no_grad()
    def put_weights(self, tensors: saved.Tensors) -> None:
        """Set the trained parameters."""
        for name, parameter in self.trained:
            parameter.copy_(tensors[name])


def is_out_of_memory(problem: Exception) -> bool:
    """Whether PyTorch or Python failed for want of memory. On the processor PyTorch says so in words only."""
    is_told = isinstance(problem, MemoryError | torch.OutOfMemoryError)
    return is_told or "can't allocate memory" in str(problem) or "not enough memory" in str(problem)


def _mean_reward(lessons: Sequence[Lesson]) -> float | None:
    rewards = [worth for lesson in lessons for worth in lesson.rewards]
    return fmean(rewards) if rewards else None
