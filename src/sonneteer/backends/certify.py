"""The certificate: what is served is what was trained, token by token and weight by weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sonneteer.models.proof import Distance, Tolerance, Trace, distance
from sonneteer.models.render import TemplateRenderer
from sonneteer.records import Check, Example, Record


class Written(Record):
    """What a training left, for whoever asks later whether it is still that."""

    files: dict[str, str]
    tolerance: Tolerance
    """What rounding explains between the network in memory and the served one."""


class Known(NamedTuple):
    """What every further form of the model is compared with."""

    probes: Sequence[Example]
    renderer: TemplateRenderer
    """As the training read."""
    trained: Sequence[Trace]
    """Taken from the network in memory when the training ended."""
    stored: Sequence[Trace]
    """Opened from the disk: the adapter beside the base's weights, or all weights."""
    tolerance: Tolerance
    """What rounding explains between the trained network and the others."""


def check_rendering(
    form: str, training: TemplateRenderer, served: TemplateRenderer, probes: Sequence[Example]
) -> list[Check]:
    """A form of the model reads and writes the very tokens of the training."""
    problems: dict[str, Callable[[_Seen], str]] = {
        "the tokens of whole conversations are those of the training": _same_ids,
        "the prompt that is asked opens what was learned": _same_prompt,
        "a learned token ends the answer": _stops,
        "no beginning of text is doubled": _is_single,
    }
    checks = []
    for name, problem_of in problems.items():
        fitting = [probe for probe in probes if problem_of in (_same_ids, _is_single) or not probe.is_text]
        told = next(((p, said) for p in fitting if (said := problem_of(_Seen(training, served, p)))), None)
        says = f"Example {told[0].id}: {told[1]}" if told else f"{len(fitting)} probe conversations."
        checks.append(Check(name=f"{form}: {name}", is_passed=told is None, says=says))
    return [*checks, _template(form, training, served)]


def check_base(trained_on: str, present: str) -> Check:
    """The base model has not been exchanged since the training."""
    is_same = trained_on == present
    says = "Its files are those of the training." if is_same else f"It was {trained_on} and is now {present}."
    return Check(name="the base model is the one that was trained on", is_passed=is_same, says=says)


def check_files(written: dict[str, str], present: dict[str, str]) -> Check:
    """The files are those that the training wrote, bit by bit."""
    changed = [name for name in sorted(written | present) if written.get(name) != present.get(name)]
    says = f"Changed since: {', '.join(changed)}." if changed else f"{len(present)} files, equal bit by bit."
    return Check(name="the files are those that the training wrote", is_passed=not changed, says=says)


def check_change(base: Sequence[Trace], trained: Sequence[Trace]) -> Check:
    """The trained network does not say the same as its base."""
    moved = distance(base, trained)
    is_moved = moved.kl > 1e-7 or moved.log_prob > 1e-6
    says = f"The training moved the probes' next-token distributions by up to {moved.kl:.3g} nats."
    return Check(name="the training changed the model", is_passed=is_moved, says=says)


def check_form(form: str, known: Known, found: Callable[[Sequence[Trace]], Distance], own: Tolerance) -> list[Check]:
    """A form says what the trained network said, and what the stored one says. `own` is what its numbers explain."""
    of_training = own if own.kl > known.tolerance.kl else known.tolerance
    return [
        same_model(f"{form} is the one that was trained", found(known.trained), of_training),
        same_model(f"{form} is the one that is stored", found(known.stored), own),
    ]


def same_model(name: str, apart: Distance, tolerance: Tolerance, over: str = "") -> Check:
    """Two forms of a model say the same of the probes."""
    if apart.kl == float("inf"):
        says = "It reads other tokens, so that nothing else can be compared: see above which is the first."
        return Check(name=name, is_passed=False, says=says)
    says = (
        f"{over}Next-token distributions differ by at most {apart.kl:.2g} nats (KL), an answer's tokens by at most "
        f"{apart.log_prob:.2g} nats, and {apart.same_choices_share:.1%} of the clear first choices are equal. "
        f"Allowed: {tolerance.kl:.2g}, {tolerance.log_prob:.2g}, {tolerance.same_choices_share:.1%}."
    )
    return Check(name=name, is_passed=apart.within(tolerance), says=says)


def first_difference(one: Sequence[int], two: Sequence[int]) -> int:
    """Where two lists of tokens part; the end of the shorter one where it is all of the longer one's beginning."""
    return next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))


class _Seen(NamedTuple):
    """A probe through both renderers."""

    training: TemplateRenderer
    served: TemplateRenderer
    probe: Example


def _same_ids(seen: _Seen) -> str:
    one, two = seen.training.answer(seen.probe).ids, seen.served.answer(seen.probe).ids
    return _difference(seen, one, two)


def _same_prompt(seen: _Seen) -> str:
    rendered = seen.training.answer(seen.probe)
    start = next(i for i, weight in enumerate(rendered.weights) if weight)
    return _difference(seen, rendered.ids[:start], seen.served.prompt_ids(seen.probe.prompt))


def _difference(seen: _Seen, one: list[int], two: list[int]) -> str:
    """The first token that differs, in both texts."""
    if one == two:
        return ""
    place = first_difference(one, two)
    texts = [
        repr(renderer.tokenizer.decode(ids[place : place + 1])) if place < len(ids) else "the end"
        for renderer, ids in ((seen.training, one), (seen.served, two))
    ]
    return f"token {place} is {texts[0]} in training, but {texts[1]} when served."


def _stops(seen: _Seen) -> str:
    last = seen.training.answer(seen.probe).ids[-1]
    if last in seen.served.stop_ids():
        return ""
    return (
        f"the learned answer ends with {seen.training.tokenizer.decode([last])!r}, at which the server does not stop."
    )


def _is_single(seen: _Seen) -> str:
    ids, begin = seen.served.answer(seen.probe).ids, seen.served.tokenizer.bos_token_id
    if begin is not None and ids[:2] == [begin, begin]:
        return f"it begins with {seen.served.tokenizer.decode([begin])!r} twice."
    return ""


def _template(form: str, training: TemplateRenderer, served: TemplateRenderer) -> Check:
    is_same = training.tokenizer.chat_template == served.tokenizer.chat_template
    says = "It is the template of the training." if is_same else "It is another template."
    return Check(name=f"{form}: the template travels with the model", is_passed=is_same, says=says)
