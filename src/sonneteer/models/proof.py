"""Traces of a model: what it says of a few probe conversations, exact enough to know the same model again.

They are taken from the network in memory when a training ends, and compared with every form in which it is opened
later: adapter beside the weights, merged, exported.

Shape letters: V vocabulary, A tokens of the answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from sonneteer.models.render import TemplateRenderer
from sonneteer.records import Example

CLEAR_LEAD = 0.5
"""Nats between first and second choice: where they lie nearer, rounding may exchange them."""


class Tolerance(NamedTuple):
    """What rounding explains: nats between next-token distributions, nats of an answer's token, equal clear choices."""

    kl: float
    log_prob: float
    same_choices_share: float


FLOAT32 = Tolerance(1e-4, 1e-2, 0.99)
BFLOAT16 = Tolerance(5e-3, 0.2, 0.97)
"""Where the training kept frozen weights in bfloat16, and they are served in float32."""


class Trace(NamedTuple):
    """What a model says of one probe."""

    ids: torch.Tensor
    next_V: torch.Tensor
    """Log-probabilities of the answer's first token."""
    answer_A: torch.Tensor
    """Log-probability of each token of the reference answer."""
    choices_A: torch.Tensor
    """The model's first choice at each of them."""
    leads_A: torch.Tensor
    """By how many nats it leads before the second one."""


class Told(NamedTuple):
    """What an engine tells of one probe, as far as it has room: texts of likely tokens, and likelihoods."""

    next: Mapping[str, float]
    """Log-probabilities of some likely first tokens of the answer, by their texts."""
    answer_A: Sequence[float]
    choices_A: Sequence[str]
    """The text of its first choice at each token of the reference answer."""


class Distance(NamedTuple):
    """How far two models' traces lie apart, the worst probe of all."""

    kl: float
    log_prob: float
    same_choices_share: float

    def within(self, tolerance: Tolerance) -> bool:
        """Whether rounding explains it."""
        is_near = self.kl <= tolerance.kl and self.log_prob <= tolerance.log_prob
        return is_near and self.same_choices_share >= tolerance.same_choices_share


def probes_of(examples: Sequence[Example]) -> list[Example]:
    """One example of every shape that the data has, the shortest and the longest."""
    by_length = sorted(examples, key=lambda e: (sum(len(m.text) for m in e.messages), e.id))
    shapes = {_shape(example): example for example in reversed(by_length)}
    chosen = {example.id: example for example in [*shapes.values(), *by_length[:1], *by_length[-1:]]}
    return list(chosen.values())


def _shape(example: Example) -> tuple[bool, ...]:
    """System prompt, several turns, tools, calls, plain text, letters beyond ASCII."""
    roles = [message.role for message in example.messages]
    has_calls = any(message.tool_calls for message in example.messages)
    is_ascii = all(message.text.isascii() for message in example.messages)
    return "system" in roles, roles.count("assistant") > 1, bool(example.tools), has_calls, example.is_text, is_ascii


@torch.no_grad()
def traces(network: PreTrainedModel, renderer: TemplateRenderer, probes: Sequence[Example]) -> list[Trace]:
    """What the model says of each probe, through the plain forward."""
    network.eval()
    found = []
    for probe in probes:
        rendered = renderer.answer(probe)
        ids = torch.tensor(rendered.ids, device=network.device)
        with torch.autocast(network.device.type, torch.bfloat16, enabled=tolerance_of(network) is BFLOAT16):
            log_probs = network(input_ids=ids[None], use_cache=False).logits[0].float().log_softmax(-1).cpu()
        places = torch.tensor([i for i, weight in enumerate(rendered.weights) if weight])
        before = log_probs[places - 1]
        answer = before.gather(1, ids.cpu()[places, None])[:, 0]
        ranked = before.topk(2)
        first, leads = ranked.indices[:, 0].contiguous(), ranked.values[:, 0] - ranked.values[:, 1]
        found.append(Trace(ids.cpu(), before[0].contiguous(), answer, first, leads))
    return found


def distance(reference: Sequence[Trace], other: Sequence[Trace]) -> Distance:
    """How far apart. Where not even the tokens are the same, infinitely far."""
    if len(reference) != len(other) or any(
        not torch.equal(a.ids, b.ids) for a, b in zip(reference, other, strict=True)
    ):
        return Distance(float("inf"), float("inf"), 0.0)
    return _worst(
        _Apart(
            kl=float((one.next_V.exp() * (one.next_V - two.next_V)).sum()),
            log_probs_A=(one.answer_A - two.answer_A).abs(),
            is_same_A=one.choices_A == two.choices_A,
            leads_A=one.leads_A,
        )
        for one, two in zip(reference, other, strict=True)
    )


def told_distance(reference: Sequence[Trace], told: Sequence[Told], texts: Sequence[str]) -> Distance:
    """How far apart what an engine tells is. `texts` are the engine's words for each token of the vocabulary."""
    return _worst(
        _Apart(
            kl=coarse_kl(one.next_V, _by_id(one.next_V, two.next, texts)),
            log_probs_A=(one.answer_A[: len(two.answer_A)] - torch.tensor(two.answer_A)).abs(),
            is_same_A=torch.tensor([texts[i] == said for i, said in zip(one.choices_A, two.choices_A, strict=False)]),
            leads_A=one.leads_A[: len(two.answer_A)],
        )
        for one, two in zip(reference, told, strict=True)
        if two.answer_A
    )


def coarse_kl(log_probs_V: torch.Tensor, told: Mapping[int, float]) -> float:
    """KL in nats over the tokens that are told of, and all others as one: at most the whole KL (log-sum inequality)."""
    ours = {token: float(log_probs_V[token]) for token in told}
    rests = [max(1 - math.fsum(map(math.exp, shares.values())), 1e-9) for shares in (ours, told)]
    known = math.fsum(math.exp(ours[token]) * (ours[token] - told[token]) for token in told)
    return max(known + rests[0] * math.log(rests[0] / rests[1]), 0.0)


def _by_id(log_probs_V: torch.Tensor, told: Mapping[str, float], texts: Sequence[str]) -> dict[int, float]:
    """Of tokens that look alike, as halves of characters do, the likeliest is meant."""
    likeliest: dict[str, int] = {}
    for token in log_probs_V.argsort(descending=True).tolist():
        if token < len(texts) and texts[token] in told:
            likeliest.setdefault(texts[token], token)
    return {likeliest[text]: value for text, value in told.items() if text in likeliest}


class _Apart(NamedTuple):
    """One probe."""

    kl: float
    log_probs_A: torch.Tensor
    is_same_A: torch.Tensor
    leads_A: torch.Tensor


def _worst(parts: Iterable[_Apart]) -> Distance:
    """Rounding may exchange choices that lie near to one another, so only clear ones are counted."""
    kls, log_probs, same, clear = [0.0], [0.0], 0, 0
    for part in parts:
        is_clear = part.leads_A > CLEAR_LEAD
        kls.append(part.kl)
        log_probs.append(float(part.log_probs_A.max()))
        same += int(part.is_same_A[is_clear].sum())
        clear += int(is_clear.sum())
    return Distance(max(kls), max(log_probs), same / clear if clear else 1.0)


def tolerance_of(network: PreTrainedModel) -> Tolerance:
    """What rounding explains between this network and the same one in float32."""
    rounded = (torch.bfloat16, torch.float16, torch.int8)  # products of a base in 8 bits round what they read, too
    is_short = any(parameter.dtype in rounded for parameter in network.parameters())
    return BFLOAT16 if is_short else FLOAT32


def write_traces(path: Path, found: Sequence[Trace]) -> None:
    """Keep them beside a run."""
    parts = {f"{i}.{name}": part for i, trace in enumerate(found) for name, part in trace._asdict().items()}
    save_file(parts, path)


def read_traces(path: Path) -> list[Trace]:
    """What was kept."""
    parts = load_file(path)
    count = len({key.split(".")[0] for key in parts})
    return [Trace(*(parts[f"{i}.{name}"] for name in Trace._fields)) for i in range(count)]
