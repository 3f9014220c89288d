"""What a training will take, before anything is loaded: tokens, memory, time, and whether it fits.

The sizes come from a network without weights, the tokens from the rendered examples. Both give an estimate by formula;
past runs on this machine, whose formula and outcome are in the catalogue, say how far the formula is off.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from pydantic import Field
from transformers import PreTrainedModel

from sonneteer.models.layers import frozen_blocks
from sonneteer.recipe.sections import Recipe, TrainingSettings
from sonneteer.records import Interval, Machine, Record, Run
from sonneteer.training.kept_trunk import kept_trunk_gb
from sonneteer.training.lessons import Lesson, Material, parts
from sonneteer.training.sampler import Sampler, sampler_of

LIBRARIES_GB = 0.6  # PyTorch and its companions before any model is open
BYTES = 4  # of a float32
SHORT_BYTES = {"whole": 4.0, "8bit": 1.0, "4bit": 0.5}  # of a weight of the frozen base
LOGIT_ROWS = 256  # the head computes so many at once
MOST_BATCHES = 128  # an epoch of more is measured by so many of its batches
UNCALIBRATED_MEMORY = (0.7, 1.0, 1.6)
UNCALIBRATED_SPEED = (0.6, 0.25, 0.05)
"""Share of the machine's speed for matrices that a training may reach: at best, usually, with tiny models."""
MOST_RUNS = 20


class Tokens(Record):
    """What an epoch holds, and what one step computes at once."""

    naive: int
    """Tokens of an epoch as a plain trainer computes them, padding aside."""
    unique: int
    """Tokens of an epoch that are computed here: a beginning that examples of a micro-batch share counts once."""
    learned: int
    largest: int
    """Unique tokens in the largest micro-batch."""
    steps: int
    """Steps of the whole run, unless it stops early."""
    epoch_steps: int
    replayed: int = 0
    """General examples in an epoch, against forgetting."""
    grouped_sharing: float | None = None
    """What `sharing` would be if examples that begin alike came together, half a batch of them; None where they do."""

    @property
    def sharing(self) -> float:
        """How many times fewer tokens are computed than a plain trainer would."""
        return self.naive / max(self.unique, 1)


class Draft(Record):
    """What a training takes by formula alone."""

    tokens: Tokens
    parameters: int
    trained_parameters: int
    fixed_gb: float
    """Weights, gradients, optimizer and libraries."""
    row_gb: float
    """What one more unique token in a micro-batch takes."""
    work_tflop: float
    """Floating-point operations of all steps and validations, in 10^12."""
    checkpoint_gb: float
    """Disk that the checkpoints, the best weights and the result take."""

    @property
    def memory_gb(self) -> float:
        """Memory at the peak."""
        return self.fixed_gb + self.row_gb * self.tokens.largest


class Plan(Record):
    """What a training will take on this machine."""

    tokens: Tokens
    parameters: int
    trained_parameters: int
    memory_gb: Interval
    available_gb: float
    seconds: Interval
    disk_gb: float
    free_disk_gb: float
    runs: int
    """Past runs on this machine that the estimates are calibrated by."""
    costs: dict[str, float | None] = Field(default_factory=dict)
    """What it costs by machine of the price table; None where its price is not known."""
    currency: str = ""
    problems: tuple[str, ...] = ()
    """Why it cannot fit, and which setting to change."""
    warnings: tuple[str, ...] = ()


class Surroundings(NamedTuple):
    """What the machine has, and what was run on it."""

    machine: Machine
    available_gb: float
    free_disk_gb: float
    past: Sequence[Run]


def draft(network: PreTrainedModel, recipe: Recipe, material: Material) -> Draft:
    """The formula's estimate. `network` may be without weights; what will be trained requires gradients."""
    settings = recipe.training
    tokens = count_tokens(material, settings, recipe.seed)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    moments = 1 if settings.optimizer == "muon" else 2
    trained_gb = trained * BYTES / 1e9
    vocabulary = network.config.get_text_config().vocab_size
    head_gb = LOGIT_ROWS * vocabulary * 2 * BYTES / 1e9
    return Draft(
        tokens=tokens,
        parameters=parameters,
        trained_parameters=trained,
        fixed_gb=LIBRARIES_GB + _weights_gb(network, settings) + trained_gb * (1 + moments) + head_gb,
        row_gb=_row_bytes(network) / 1e9,
        work_tflop=_work(network, settings, material, tokens) / 1e12,
        checkpoint_gb=trained_gb * (3 * (1 + moments) + 3)  # two checkpoints and one being written; best, result
        + trained_gb * (settings.averaged_checkpoints - 1)
        + kept_trunk_gb(network, settings, material),
    )


def count_tokens(material: Material, settings: TrainingSettings, seed: int) -> Tokens:
    """Plan the batches as the sampler will, and count. Long epochs are measured by evenly spread batches."""
    sampler = sampler_of(material, settings, seed, settings.epochs)
    epoch = sampler_of(material, settings, seed, epochs=1.0)
    shared = _shared(material, epoch, settings.micro_batch_tokens)
    total = _naive(material.train) + round(_mean(_naive(material.replay), material.replay) * epoch.replayed)
    learned = round(_mean(_learned(material.replay), material.replay) * epoch.replayed)
    return Tokens(
        naive=total,
        unique=round(total / shared.times),
        learned=_learned(material.train) + learned,
        largest=shared.largest,
        steps=min(sampler.steps, settings.max_steps or sampler.steps),
        epoch_steps=epoch.steps,
        replayed=epoch.replayed,
        grouped_sharing=_grouped_sharing(material, settings, seed),
    )


class _Shared(NamedTuple):
    times: float
    largest: int


def _shared(material: Material, epoch: Sampler, micro_batch_tokens: int) -> _Shared:
    """How many times fewer tokens are computed, by evenly spread batches of an epoch; and the largest micro-batch."""
    unique, naive, largest = 0, 0, 0
    for step in range(1, epoch.steps + 1, max(1, epoch.steps // MOST_BATCHES)):
        for part in parts(material.lessons(epoch.batch(step)), micro_batch_tokens, torch.device("cpu")):
            unique, naive = unique + part.forest.unique_tokens, naive + part.forest.naive_tokens
            largest = max(largest, part.forest.unique_tokens)
    return _Shared(naive / unique, largest)


def _grouped_sharing(material: Material, settings: TrainingSettings, seed: int) -> float | None:
    """What `training.prefix_group` would do, where it is not used."""
    group = settings.batch_size // 2
    if settings.prefix_group > 1 or group < 2:
        return None
    epoch = sampler_of(material, settings.model_copy(update={"prefix_group": group}), seed, epochs=1.0)
    return _shared(material, epoch, settings.micro_batch_tokens).times


def _mean(total: int, lessons: Sequence[Lesson]) -> float:
    return total / max(len(lessons), 1)


def _learned(lessons: Sequence[Lesson]) -> int:
    return sum(lesson.learned_tokens for lesson in lessons)


def estimate(drafted: Draft, recipe: Recipe, around: Surroundings) -> Plan:
    """The formula, corrected by what past runs on this machine took; and whether it fits."""
    alike = _on_this_machine(around)
    low, usual, high = _memory_factors(alike)
    memory = Interval(value=drafted.memory_gb * usual, low=drafted.memory_gb * low, high=drafted.memory_gb * high)
    fastest, speed, slowest = _speeds(alike, drafted)
    work = drafted.work_tflop
    plan = Plan(
        tokens=drafted.tokens,
        parameters=drafted.parameters,
        trained_parameters=drafted.trained_parameters,
        memory_gb=memory,
        available_gb=around.available_gb,
        seconds=Interval(value=work / speed, low=work / fastest, high=work / slowest),
        disk_gb=drafted.checkpoint_gb,
        free_disk_gb=around.free_disk_gb,
        runs=len(alike),
    )
    problems, warnings = _judge(plan, drafted, recipe, low)
    return plan.model_copy(update={"problems": tuple(problems), "warnings": tuple(warnings)})


def _judge(plan: Plan, drafted: Draft, recipe: Recipe, low: float) -> tuple[list[str], list[str]]:
    problems, warnings = [], []
    if plan.memory_gb.low > plan.available_gb:
        problems.append(
            f"Memory: at the least {plan.memory_gb.low:.1f} GB are needed, and this machine has "
            f"{plan.available_gb:.1f} GB. {_less_memory(drafted, recipe, plan.available_gb / low)}"
        )
    elif plan.memory_gb.high > plan.available_gb:
        warnings.append(
            f"Memory may run out: {plan.memory_gb.high:.1f} GB at the most, of {plan.available_gb:.1f} GB. "
            f"{_less_memory(drafted, recipe, plan.available_gb / low)}"
        )
    if plan.disk_gb > plan.free_disk_gb:
        problems.append(
            f"Disk: the checkpoints and the result need {plan.disk_gb:.1f} GB, and {plan.free_disk_gb:.1f} GB are "
            "free. Make room, or name another --workspace."
        )
    return problems, warnings


def _less_memory(drafted: Draft, recipe: Recipe, room_gb: float) -> str:
    """Which setting to change."""
    rows = int((room_gb - drafted.fixed_gb) / drafted.row_gb * 0.8)
    longest = min(drafted.tokens.largest, recipe.data.max_tokens)
    if rows >= longest:
        return f"Set training.micro_batch_tokens to {rows} (it is {recipe.training.micro_batch_tokens})."
    if recipe.training.method == "full":
        return "Set training.method to 'lora', which needs no gradients and optimizer states of the base model."
    if rows > 16:
        return f"Set training.micro_batch_tokens and data.max_tokens to {rows}."
    return f"Choose a smaller base.model: '{recipe.base.model}' has {drafted.parameters / 1e9:.2f} billion weights."


# By formula ---------------------------------------------------------------------------------------


def _weights_gb(network: PreTrainedModel, settings: TrainingSettings) -> float:
    """The embeddings and what is trained in float32; the rest as the recipe keeps it."""
    table = network.get_input_embeddings().weight.numel()
    whole = table + sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    short = max(0, sum(parameter.numel() for parameter in network.parameters()) - whole)
    return float(whole * BYTES + short * SHORT_BYTES[settings.base_weights]) / 1e9


def _row_bytes(network: PreTrainedModel) -> float:
    """Bytes that the backward pass keeps for one token: the inputs of norms, products and gates in every layer."""
    config = network.config.get_text_config()
    width, layers = config.hidden_size, config.num_hidden_layers
    inner = getattr(config, "intermediate_size", None) or 4 * width
    return float(BYTES * (layers * (12 * width + 4 * inner) + 4 * width))


def _work(network: PreTrainedModel, settings: TrainingSettings, material: Material, tokens: Tokens) -> float:
    """Two operations a weight and token forwards; as many for the gradient of the inputs, and of trained weights."""
    head = network.get_output_embeddings().weight
    embedding = network.get_input_embeddings().weight
    apart = embedding.numel() + (0 if head is embedding else head.numel())
    inner = sum(parameter.numel() for parameter in network.parameters()) - apart
    frozen = network.get_decoder().layers[: frozen_blocks(network)]
    below = sum(parameter.numel() for block in frozen for parameter in block.parameters())
    times = 6 if settings.method == "full" else 4
    epochs = tokens.steps / tokens.epoch_steps
    is_kept = kept_trunk_gb(network, settings, material) > 0
    training = epochs * times * (tokens.unique * (inner - below) + tokens.learned * head.numel())
    training += (1 if is_kept else epochs) * 2 * tokens.unique * below
    validations = 1 + tokens.steps // (settings.validate_every or max(1, tokens.steps // 8))
    shared = _naive(material.validation) / tokens.sharing
    learned_share = tokens.learned / max(tokens.naive, 1)
    watched = inner - below if is_kept else inner
    watching = validations * 2 * (shared * watched + _naive(material.validation) * learned_share * head.numel())
    return float(training + watching)


def _naive(lessons: Sequence[Lesson]) -> int:
    return sum(len(sequence.ids) for lesson in lessons for sequence in lesson.sequences)


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


def _speeds(alike: Sequence[Run], drafted: Draft) -> tuple[float, float, float]:
    """10^12 operations a second: at best, usually, at worst. Models of about this size count, if there are any."""
    near = [run for run in alike if 0.5 <= run.parameters / drafted.parameters <= 2]
    speeds = [run.work_tflop / run.seconds for run in near or alike]
    if not speeds:
        best, usual, worst = (share * matrix_speed() for share in UNCALIBRATED_SPEED)
        return best, usual, worst
    return max(speeds) * 1.1, statistics.median(speeds), min(speeds) * 0.9


def matrix_speed(size: int = 768, seconds: float = 0.2, clock: Callable[[], float] = time.perf_counter) -> float:
    """10^12 operations a second that this machine reaches in a plain product of float32 matrices."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    one = torch.ones(size, size, device=device)
    _ = (one @ one)[0, 0].item()
    begun, products = clock(), 0
    while clock() - begun < seconds:
        _ = (one @ one)[0, 0].item()
        products += 1
    return 2 * size**3 * products / (clock() - begun) / 1e12
