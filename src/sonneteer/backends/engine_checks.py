"""A model as another engine serves it, against the network it was made of: tokens, distributions, answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import torch

from sonneteer.backends.certify import first_difference, same_model
from sonneteer.chat import Options
from sonneteer.models.generate import LocalChat
from sonneteer.models.load import LanguageModel
from sonneteer.models.proof import CLEAR_LEAD, Distance, Tolerance, coarse_kl
from sonneteer.models.render import TemplateRenderer
from sonneteer.records import Check, Example, Message

LIKELIEST = 20
LIKELY = 0.01
GREEDY_TOKENS = 24


class Engine(Protocol):
    """What can be asked of another engine."""

    def tokens(self, text: str) -> list[int]:
        """How it reads a text with its marks."""
        ...

    def next_tokens(self, ids: Sequence[int], count: int) -> dict[int, float]:
        """The likeliest tokens after these, with their log-probabilities."""
        ...

    def answer(self, messages: Sequence[Mapping[str, str]], max_tokens: int) -> str:
        """Its answer to a conversation, always the likeliest token."""
        ...


class Reference(NamedTuple):
    """The network that is compared with."""

    model: LanguageModel
    renderer: TemplateRenderer
    probes: Sequence[Example]


def check_engine(name: str, engine: Engine, reference: Reference, tolerance: Tolerance) -> list[Check]:
    """Ask the engine the probes that any engine understands: conversations without tools."""
    reference = reference._replace(probes=_plain(reference.probes))

    def answer(messages: Sequence[Message]) -> str:
        return engine.answer([{"role": one.role, "content": one.text} for one in messages], GREEDY_TOKENS)

    return [
        _tokens(name, engine, reference),
        _distributions(name, engine, reference, tolerance),
        check_greedy(name, answer, reference),
    ]


def _plain(probes: Sequence[Example]) -> list[Example]:
    asked = [probe for probe in probes if not probe.is_text and not probe.tools]
    return [probe for probe in asked if not any(one.tool_calls or one.role == "tool" for one in probe.messages)]


def _tokens(name: str, engine: Engine, reference: Reference) -> Check:
    says = f"{len(reference.probes)} probe conversations."
    for probe in reference.probes:
        ours = reference.renderer.prompt_ids(probe.prompt)
        theirs = engine.tokens(str(reference.model.tokenizer.decode(ours)))
        if ours != theirs:
            place = first_difference(ours, theirs)
            said = reference.model.tokenizer.decode(ours[place : place + 1])
            return Check(
                name=f"{name}: it reads the tokens of the training",
                is_passed=False,
                says=f"Example {probe.id}: token {place} was {said!r} in training, and is another one there.",
            )
    return Check(name=f"{name}: it reads the tokens of the training", is_passed=True, says=says)


def _distributions(name: str, engine: Engine, reference: Reference, tolerance: Tolerance) -> Check:
    """Over the engine's likeliest tokens, which is all that it tells of, and all others as one."""
    kls, differences, same, clear = [0.0], [0.0], 0, 0
    for probe in reference.probes:
        ids = reference.renderer.prompt_ids(probe.prompt)
        ours, theirs = _next(reference.model, ids), engine.next_tokens(ids, LIKELIEST)
        kls.append(coarse_kl(ours, theirs))
        differences += [abs(float(ours[token]) - told) for token, told in theirs.items() if ours[token].exp() > LIKELY]
        first, second = ours.topk(2).values.tolist()
        if first - second > CLEAR_LEAD:
            clear += 1
            same += max(theirs, key=lambda token: theirs[token]) == int(ours.argmax())
    apart = Distance(max(kls), max(differences), same / clear if clear else 1.0)
    return same_model(
        f"{name}: its next-token distributions are those of the served model",
        apart,
        tolerance,
        f"Of its {LIKELIEST} likeliest tokens and the rest: ",
    )


def check_greedy(name: str, answer: Callable[[Sequence[Message]], str], reference: Reference) -> Check:
    """Greedy answers are equal, up to a place where first and second choice lie too near to one another to tell."""
    chat, equal, probes = LocalChat(reference.model), 0, _plain(reference.probes)
    for probe in probes:
        (ours,) = chat.answer([probe.prompt], Options(max_tokens=GREEDY_TOKENS))
        theirs = answer(probe.prompt.messages)
        if theirs.strip() == ours.text.strip():
            equal += 1
        elif _is_clear(reference, probe, ours.text, theirs):
            return Check(
                name=f"{name}: it answers as the served model does",
                is_passed=False,
                says=f"Example {probe.id}: it answers {theirs!r}, and the served model {ours.text!r}.",
            )
    says = f"{equal} of {len(probes)} greedy answers are equal; the others part where two choices are near."
    return Check(name=f"{name}: it answers as the served model does", is_passed=True, says=says)


def _is_clear(reference: Reference, probe: Example, ours: str, theirs: str) -> bool:
    """Whether the served model was sure of its choice where the two answers part."""
    tokenizer = reference.model.tokenizer
    one, two = (tokenizer.encode(text, add_special_tokens=False) for text in (ours, theirs))
    ids = reference.renderer.prompt_ids(probe.prompt) + one[: first_difference(one, two)]
    first, second = _next(reference.model, ids).topk(2).values.tolist()
    return bool(first - second > CLEAR_LEAD)


@torch.no_grad()
def _next(model: LanguageModel, ids: Sequence[int]) -> torch.Tensor:
    """Log-probabilities of the token after these."""
    logits = model.network(input_ids=torch.tensor([list(ids)], device=model.device), use_cache=False).logits
    told: torch.Tensor = logits[0, -1].float().log_softmax(-1).cpu()
    return told
