"""How a gradient becomes a step: AdamW, or Muon for matrices, and the schedule of the step size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import AdamW, Optimizer

from sonneteer.recipe.sections import TrainingSettings

Named = tuple[str, torch.nn.Parameter]


class Muon(Optimizer):
    """Momentum whose matrix steps are made orthogonal (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

    The step is scaled by 0.2 * sqrt(longer side), which gives it the size of AdamW's (Moonlight, arXiv 2502.16982),
    so both share one learning rate. torch.optim.Muon computes in bfloat16, which processors without such units
    emulate about five times slower; this one computes in the weights' own type.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], lr: float, momentum: float, weight_decay: float):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # there is no closure here
        """One step on every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                buffer = self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(matrix))
                buffer.lerp_(matrix.grad, 1 - group["momentum"])
                update = orthogonal(matrix.grad.lerp(buffer, group["momentum"]))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-0.2 * math.sqrt(max(matrix.shape)) * group["lr"])


def orthogonal(matrix: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """Nearly the orthogonal factor of a matrix's polar decomposition, by a quintic Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x: torch.Tensor = matrix.t() if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.t()
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.t() if matrix.shape[0] > matrix.shape[1] else x


def optimizers(parameters: list[Named], settings: TrainingSettings) -> list[Optimizer]:
    """One AdamW; or Muon for the matrices inside the blocks and AdamW for embeddings, norms and biases."""
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in parameters:
        is_matrix = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
        (matrices if is_matrix else others).append(parameter)
    decay, lr = settings.weight_decay, settings.learning_rate
    if settings.optimizer == "adamw":
        groups: list[dict[str, Any]] = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
        return [AdamW([group for group in groups if group["params"]], lr=lr, weight_decay=decay)]
    muon = Muon(matrices, lr=lr, momentum=0.95, weight_decay=decay)
    return [muon, AdamW(others, lr=lr, betas=(0.9, 0.95), weight_decay=0.0)]


def schedule(settings: TrainingSettings, steps: int) -> Callable[[int], float]:
    """Share of the peak learning rate at a step (from 1): rises over the warm-up, then falls to `final_share`."""
    warmup = max(1, round(settings.warmup_share * steps))

    def share(step: int) -> float:
        if step <= warmup:
            return step / warmup
        progress = (step - warmup) / max(1, steps - warmup)
        falls = {
            "constant": 1.0,
            "linear": 1 - progress,
            "cosine": (1 + math.cos(math.pi * progress)) / 2,
        }[settings.schedule]
        return settings.final_share + (1 - settings.final_share) * falls

    return share


def set_learning_rate(made: list[Optimizer], rate: float) -> None:
    """Use this step size from now on."""
    for optimizer in made:
        for group in optimizer.param_groups:
            group["lr"] = rate
