"""The training loop: steps, validation, checkpoints, and an end that is the best there was."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from safetensors.torch import load_file

from sonneteer.errors import RecipeError
from sonneteer.models.hardware import peak_gb
from sonneteer.progress import Progress
from sonneteer.training import checkpoint as saved
from sonneteer.training.averaged import Averaging
from sonneteer.training.checkpoint import Checkpoint, Counters
from sonneteer.training.learner import Learner, StepFigures
from sonneteer.training.lessons import Material
from sonneteer.training.optimizer import schedule
from sonneteer.training.overfitting import gap_between
from sonneteer.training.sampler import Batches
from sonneteer.training.trackers import tracked
from sonneteer.training.watch import Interrupt, MetricsFile, Stopwatch

EXPLODED = 3.0  # times the loss before the first step, or of guessing among all tokens
UNCHANGED = (
    "The validation loss was lowest before the first step, so the weights stay as they were: the training brought "
    "nothing. Try a lower training.learning_rate, or validation examples that are like what is to be learned."
)


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
        if self.counters.best_step == 0:
            self.progress.note(UNCHANGED)
        best = load_file(self._best_file)
        self.learner.put_weights(best)
        if len(self.counters.candidates) > 1:
            self._try_average(best)
        if self.learner.private is not None:
            return  # the loss on learned examples would tell of them without noise
        learned = self.material.train[: len(self.material.validation)]
        gap = gap_between(self.learner.losses_on(self.material.validation), self.learner.losses_on(learned))
        self.counters = self.counters.model_copy(update={"train_loss": self.learner.loss_on(learned), "gap": gap})

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
