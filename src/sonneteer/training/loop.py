"""The training loop: one for every objective and method. What differs is an argument."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import NamedTuple, TypeVar

import torch
from safetensors.torch import load_file
from torch.optim import Optimizer
from transformers import PreTrainedModel

from sonneteer.errors import MachineError, RecipeError
from sonneteer.models.fused import shorten
from sonneteer.models.hardware import is_short, peak_gb
from sonneteer.models.layers import noisy_embeddings
from sonneteer.models.logprobs import head_of
from sonneteer.models.recompute import recompute_blocks
from sonneteer.models.trunk import Trunk
from sonneteer.progress import Progress
from sonneteer.recipe.sections import TrainingSettings
from sonneteer.training import checkpoint as saved
from sonneteer.training.averaged import Averaging
from sonneteer.training.checkpoint import Checkpoint, Counters
from sonneteer.training.lessons import Lesson, Material, Part, Reading, parts, read
from sonneteer.training.objectives import Objective
from sonneteer.training.optimizer import optimizers, schedule, set_learning_rate
from sonneteer.training.pages import keep_pages
from sonneteer.training.private import Budget, PrivateGradients, budget_of
from sonneteer.training.regularize import Anchor, Average
from sonneteer.training.sampler import Batches
from sonneteer.training.trackers import tracked
from sonneteer.training.watch import Interrupt, MetricsFile, Stopwatch

Result = TypeVar("Result")
SMALLEST_BUDGET = 64  # unique tokens; less than an example is no help
EXPLODED = 3.0  # times the loss before the first step, or of guessing among all tokens


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
        self.network.eval()
        pieces = parts(lessons, self.budget, self.network.device)
        with self.arithmetic():
            loss = sum(float(self.objective.validation_loss(self._read(part))) for part in pieces)
        return loss / (self.objective.total(lessons) or 1.0)

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


@dataclass
class Training:
    """A run in progress: the learner, its material, and where its files are."""

    learner: Learner
    material: Material
    sampler: Batches
    folder: Path
    progress: Progress
    origin: saved.Origin = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = self.learner.settings
        self.steps = min(self.sampler.steps, self.settings.max_steps or self.sampler.steps)
        self.validate_every = self.settings.validate_every or max(1, self.steps // 8)
        self.share = schedule(self.settings, self.steps)
        self.counters = Counters()
        self._saved_at = 0.0
        self._last_validation: float | None = None

    def go(self, interrupt: Interrupt) -> Counters:
        """Train to the end, to early stopping, or until interrupted (then KeyboardInterrupt, everything saved)."""
        self._resume(saved.read_checkpoint(self.folder / "checkpoints"))
        metrics = MetricsFile(self.folder / "metrics.jsonl", self.counters.step)
        self.watch = Stopwatch(self.counters.seconds)
        with tracked(metrics, self.settings, self.folder, self.counters.step) as self.metrics:
            if self.counters.step == 0:
                self._validate()  # before the first step: a lack of memory or disk shows now
            while self.counters.step < self.steps and not self._is_stale:
                self._step()
                if interrupt.is_wanted:
                    self._save()
                    raise KeyboardInterrupt
        self._use_best()
        return self.counters

    @property
    def _is_stale(self) -> bool:
        patience = self.settings.patience
        return patience is not None and self.counters.stale_validations >= patience

    def _step(self) -> None:
        step = self.counters.step + 1
        batch = self.sampler.batch(step)
        rate = self.settings.learning_rate * self.share(step)
        before = self.watch.seconds
        done = self.learner.step(self.material.lessons(batch), rate, step)
        if not math.isfinite(done.gradient_norm) or not done.loss <= self._highest_loss:
            self._explain_explosion(step, batch, done)
        self._count(step, done)
        self._tell(step, done, rate, self.watch.seconds - before)
        if step % self.validate_every == 0 or step == self.steps:
            self._validate()
        elif self.watch.seconds - self._saved_at >= self.settings.checkpoint_seconds:
            self._save()

    @property
    def _highest_loss(self) -> float:
        """Above this a model is far worse than one that knows nothing: its weights are lost."""
        guessing = math.log(self.learner.network.config.get_text_config().vocab_size)
        return EXPLODED * max(guessing, self.counters.first_loss or 0.0)

    def _count(self, step: int, done: StepFigures) -> None:
        so_far = self.counters
        self.counters = so_far.model_copy(
            update={
                "step": step,
                "tokens": so_far.tokens + done.tokens,
                "unique_tokens": so_far.unique_tokens + done.unique_tokens,
                "learned_tokens": so_far.learned_tokens + done.learned_tokens,
                "seconds": self.watch.seconds,
            }
        )

    def _tell(self, step: int, done: StepFigures, rate: float, seconds: float) -> None:
        figures = {
            "loss": done.loss,
            "learning_rate": rate,
            "gradient_norm": done.gradient_norm,
            "tokens_per_second": done.tokens / max(seconds, 1e-9),
            "unique_tokens_per_second": done.unique_tokens / max(seconds, 1e-9),
            "learned_tokens": float(self.counters.learned_tokens),
            "memory_gb": peak_gb(self.learner.network.device),
            "seconds": self.watch.seconds,
            "seconds_left": self.watch.seconds / step * (self.steps - step),
        }
        if self.learner.private is not None:
            figures["clipped_share"] = self.learner.private.clipped_share
        if done.reward is not None:
            figures["reward"] = done.reward
        self.metrics.write(step, figures)
        if self._last_validation is not None:
            figures["validation_loss"] = self._last_validation
        self.progress.update(step, self.steps, figures)

    def _validate(self) -> None:
        """Measure the validation loss, keep the weights if they are the best so far, and save a checkpoint."""
        counters = self.counters
        if self.material.validation:
            loss = self.learner.validation_loss(self.material.validation)
            self._last_validation = loss
            self.metrics.write(counters.step, {"validation_loss": loss})
            is_best = counters.best_loss is None or loss < counters.best_loss
            changes: dict[str, float | int | None] = {"stale_validations": counters.stale_validations + 1}
            if is_best:
                changes = {"stale_validations": 0, "best_loss": loss, "best_step": counters.step}
            if counters.first_loss is None:
                changes["first_loss"] = loss
            self.counters = counters.model_copy(update=changes)
            if is_best:
                saved.save_tensors(self._best_file, self.learner.kept_weights())
            if self.settings.averaged_checkpoints > 1:
                self._keep_candidate(loss)
        self._save()
        if self._last_validation is not None:
            self.progress.validated(self._last_validation)

    def _keep_candidate(self, loss: float) -> None:
        """The weights of this validation may be averaged with others in the end."""
        candidates = [*self.counters.candidates, (self.counters.step, loss)]
        left = self._averaging.keep(candidates, self.learner.kept_weights())
        self.counters = self.counters.model_copy(update={"candidates": tuple(left)})

    @property
    def _averaging(self) -> Averaging:
        return Averaging(self.folder / "averaged", self.settings.averaged_checkpoints, self.settings.averaged)

    @property
    def _best_file(self) -> Path:
        return self.folder / saved.BEST

    def _save(self) -> None:
        self.counters = self.counters.model_copy(update={"seconds": self.watch.seconds})
        tensors = self.learner.weights() | saved.optimizer_tensors(self.learner.optimizers) | saved.random_tensors()
        if self.learner.average is not None:
            tensors |= {f"average.{name}": tensor for name, tensor in self.learner.average.tensors.items()}
        best = None if self.counters.best_step is None else self._best_file
        saved.write_checkpoint(self.folder / "checkpoints", self.counters, tensors, self.origin, best)
        self._saved_at = self.watch.seconds

    def _resume(self, found: Checkpoint | None) -> None:
        if found is None:
            return
        saved.refuse_other_origin(found, self.origin)
        if found.best_file is not None:
            saved.link_or_copy(found.best_file, self._best_file)
        self.learner.put_weights(found.tensors)
        if self.learner.average is not None:
            for name, tensor in self.learner.average.tensors.items():
                tensor.copy_(found.tensors[f"average.{name}"])
        saved.restore_optimizers(self.learner.optimizers, found.tensors)
        saved.restore_random(found.tensors)
        self.counters = found.counters
        self._saved_at = found.counters.seconds
        self._last_validation = found.counters.best_loss
        self.progress.note(f"Going on from step {found.counters.step} of {self.steps}.")

    def _use_best(self) -> None:
        """Put the best weights on, and see how well they do on examples that were learned.

        Without validation examples there is no best: the last weights stay.
        """
        if self.counters.best_step is None:
            self.learner.put_weights(self.learner.kept_weights())
            return
        best = load_file(self._best_file)
        self.learner.put_weights(best)
        if len(self.counters.candidates) > 1:
            self._try_average(best)
        if self.learner.private is not None:
            return  # the loss on learned examples would tell of them without noise
        learned = self.material.train[: len(self.material.validation)]
        loss = self.learner.loss_on(learned)
        self.counters = self.counters.model_copy(update={"train_loss": loss})

    def _try_average(self, best: saved.Tensors) -> None:
        """Keep the mean of the candidates' weights where it does better than the best of them."""
        self.learner.put_weights(self._averaging.mean(self.counters.candidates))
        loss = self.learner.loss_on(self.material.validation)
        if self.counters.best_loss is None or loss >= self.counters.best_loss:
            self.learner.put_weights(best)
            return
        steps = tuple(step for step, _ in self.counters.candidates)
        self.counters = self.counters.model_copy(update={"best_loss": loss, "averaged_steps": steps})

    def _explain_explosion(self, step: int, batch: list[int], done: StepFigures) -> None:
        names = ", ".join(self.material.names[i] for i in batch[:5])
        raise RecipeError(
            f"training.learning_rate: at step {step} the loss became {done.loss} and the gradient {done.gradient_norm}."
            f" Try {self.settings.learning_rate / 3:.1e}. The step's first examples: {names}. "
            f"The last good state is that of the checkpoint in {self.folder / 'checkpoints'}."
        )
