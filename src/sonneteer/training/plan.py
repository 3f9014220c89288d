"""What a training will take on this machine: tokens, memory, time, and whether it fits.

`draft.py` gives an estimate by formula; past runs on this machine, whose formula and outcome are in the catalogue, say
how far the formula is off.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

import torch
from pydantic import Field

from sonneteer.errors import MachineError
from sonneteer.models.hardware import is_short, matrix_speed
from sonneteer.recipe.sections import Recipe, TrainingSettings
from sonneteer.records import Detectable, Interval, Machine, Record, Run
from sonneteer.training.draft import Draft, Tokens

UNCALIBRATED_MEMORY = (0.7, 1.0, 1.6)
UNCALIBRATED_SPEED = (0.6, 0.25, 0.05)
"""Share of the machine's speed for matrices that a training may reach: at best, usually, with tiny models."""
MOST_RUNS = 20


class Plan(Record):
    """What a training will take on this machine."""

    tokens: Tokens
    parameters: int
    trained_parameters: int
    memory_gb: Interval
    available_gb: float
    recomputes: bool = False
    """Whether blocks are computed once more in the backward pass, to save memory."""
    seconds: Interval
    disk_gb: float
    free_disk_gb: float
    runs: int
    """Past runs on this machine that the estimates are calibrated by."""
    costs: dict[str, float | None] = Field(default_factory=dict)
    """What it costs by machine of the price table; None where its price is not known."""
    currency: str = ""
    detectable: tuple[Detectable, ...] = ()
    """What the sealed test examples will be able to show."""
    problems: tuple[str, ...] = ()
    """Why it cannot fit, and which setting to change."""
    warnings: tuple[str, ...] = ()


class Surroundings(NamedTuple):
    """What the machine has, and what was run on it."""

    machine: Machine
    available_gb: float
    free_disk_gb: float
    past: Sequence[Run]
    device: torch.device = torch.device("cpu")


def estimate(drafted: Draft, recipe: Recipe, around: Surroundings) -> Plan:
    """The formula, corrected by what past runs on this machine took; and whether it fits."""
    alike = _on_this_machine(around)
    factors = _memory_factors(alike)
    recomputes = _recomputes(drafted, recipe.training, around.available_gb / factors[2])
    low, usual, high = (drafted.memory_gb(recomputes) * factor for factor in factors)
    fastest, speed, slowest = _speeds(alike, drafted, recipe.training, around.device)
    work = drafted.work(recomputes)
    plan = Plan(
        tokens=drafted.tokens,
        parameters=drafted.parameters,
        trained_parameters=drafted.trained_parameters,
        memory_gb=Interval(value=usual, low=low, high=high),
        available_gb=around.available_gb,
        recomputes=recomputes,
        seconds=Interval(value=work / speed, low=work / fastest, high=work / slowest),
        disk_gb=drafted.checkpoint_gb,
        free_disk_gb=around.free_disk_gb,
        runs=len(alike),
    )
    problems, warnings = _judge(plan, drafted, recipe, factors[0])
    return plan.model_copy(update={"problems": tuple(problems), "warnings": tuple(warnings)})


def refuse(plan: Plan, settings: TrainingSettings) -> None:
    """Raises MachineError with the plan's problems, unless the recipe insists."""
    if plan.problems and not settings.start_anyway:
        raise MachineError("\n".join([*plan.problems, "To start all the same: training.start_anyway: true."]))


def as_planned(recipe: Recipe, plan: Plan) -> Recipe:
    """The recipe with what it left to the plan."""
    state = "on" if plan.recomputes else "off"
    training = recipe.training.model_copy(update={"gradient_checkpointing": state})
    return recipe.model_copy(update={"training": training})


def _recomputes(drafted: Draft, settings: TrainingSettings, room_gb: float) -> bool:
    """'auto' computes blocks once more where memory might not suffice, and where it helps."""
    if settings.gradient_checkpointing != "auto":
        return settings.gradient_checkpointing == "on"
    return drafted.memory_gb(recomputes=False) > max(room_gb, drafted.memory_gb(recomputes=True))


def _judge(plan: Plan, drafted: Draft, recipe: Recipe, low: float) -> tuple[list[str], list[str]]:
    problems, warnings = [], []
    needs, has = plan.memory_gb, plan.available_gb
    if needs.high > has:
        change = _less_memory(drafted, recipe, has / low, plan.recomputes)
        if needs.low > has:
            problems.append(
                f"Memory: at the least {needs.low:.1f} GB are needed, and this machine has {has:.1f} GB. {change}"
            )
        else:
            warnings.append(f"Memory may run out: {needs.high:.1f} GB at the most, of {has:.1f} GB. {change}")
    if plan.disk_gb > plan.free_disk_gb:
        problems.append(
            f"Disk: the checkpoints and the result need {plan.disk_gb:.1f} GB, and {plan.free_disk_gb:.1f} GB are "
            "free. Make room, or name another --workspace."
        )
    return problems, warnings


def _less_memory(drafted: Draft, recipe: Recipe, room_gb: float, recomputes: bool) -> str:
    """Which setting to change: the one that costs least of those that help."""
    settings = recipe.training
    if not recomputes and drafted.memory_gb(recomputes=True) < room_gb:
        return "Set training.gradient_checkpointing to 'auto' (it is 'off')."
    if drafted.fixed_gb + drafted.sampling_gb > room_gb > drafted.fixed_gb and drafted.sampling_gb:
        size = recipe.evaluation.batch_size
        return f"Set evaluation.batch_size below {size}: so many answers are drawn at the same time."
    row_gb = drafted.recomputed_row_gb if recomputes else drafted.row_gb
    rows = int((room_gb - drafted.fixed_gb) / row_gb * 0.8) if drafted.opening_gb < room_gb else 0
    longest = min(drafted.tokens.largest, recipe.data.max_tokens)
    if rows >= longest:
        return f"Set training.micro_batch_tokens to {rows} (it is {settings.micro_batch_tokens})."
    if settings.method == "full":
        return "Set training.method to 'lora', which needs no gradients and optimizer states of the base model."
    if rows > 16:
        return f"Set training.micro_batch_tokens and data.max_tokens to {rows}."
    if drafted.teacher_gb > drafted.fixed_gb / 2:
        return f"Choose a smaller training.distillation.teacher: it takes {drafted.teacher_gb:.1f} GB."
    if settings.base_weights == "whole":
        return f"Set training.base_weights to '4bit', or choose a smaller base.model: {_size(drafted, recipe)}."
    return f"Choose a smaller base.model: {_size(drafted, recipe)}."


def _size(drafted: Draft, recipe: Recipe) -> str:
    return f"'{recipe.base.model}' has {drafted.parameters / 1e9:.2f} billion weights"


# By experience ------------------------------------------------------------------------------------


def _on_this_machine(around: Surroundings) -> list[Run]:
    """The newest runs that ended on the same processor and device, and said what they were expected to take."""
    here = around.machine
    return [
        run
        for run in around.past
        if (run.machine.processor, run.machine.device) == (here.processor, here.device)
        and run.expected_memory_gb
        and run.work_tflop
        and run.seconds
    ][:MOST_RUNS]


def _memory_factors(alike: Sequence[Run]) -> tuple[float, float, float]:
    if not alike:
        return UNCALIBRATED_MEMORY
    factors = [run.peak_memory_gb / run.expected_memory_gb for run in alike]
    return min(factors) * 0.9, statistics.median(factors), max(factors) * 1.1


def _speeds(
    alike: Sequence[Run], drafted: Draft, settings: TrainingSettings, device: torch.device
) -> tuple[float, float, float]:
    """10^12 operations a second: at best, usually, at worst. Runs of the same objective and about this size count
    first: drawing answers, for one, is far slower than reading them."""
    same = [run for run in alike if run.recipe.get("training", {}).get("objective") == settings.objective]
    near = [run for run in same if 0.5 <= run.parameters / drafted.parameters <= 2]
    speeds = [run.work_tflop / run.seconds for run in near or same or alike]
    if not speeds:
        plain = matrix_speed(device, is_short(settings.precision, device))
        best, usual, worst = (share * plain for share in UNCALIBRATED_SPEED)
        return best, usual, worst
    return max(speeds) * 1.1, statistics.median(speeds), min(speeds) * 0.9
