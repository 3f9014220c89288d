"""The audit finds what was planted, and nothing where nothing is; its limits decide a promotion."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest

from sonneteer.chat import Answer, Likelihood, Options
from sonneteer.errors import RecipeError
from sonneteer.evaluation.ask import Reply
from sonneteer.evaluation.canaries import canaries_of, exposure, exposures, extrapolated, planted
from sonneteer.evaluation.extraction import extract
from sonneteer.evaluation.intervals import Bootstrap
from sonneteer.evaluation.membership import WORDS_ALONE, membership
from sonneteer.evaluation.memorisation import Audited, audit, check_limits, memorisation_rules
from sonneteer.evaluation.personal import personal_data
from sonneteer.recipe.sections import EvaluationSettings, MemorisationSettings, PrivacySettings, Recipe
from sonneteer.records import Example, Interval, Memorisation, Message, Prompt
from sonneteer.testing import ScriptedChat

BOOTSTRAP = Bootstrap(0.95, 500, 0)
WORDS = [
    "the",
    "parcel",
    "order",
    "comes",
    "today",
    "tomorrow",
    "by",
    "post",
    "from",
    "our",
    "shop",
    "in",
    "green",
    "box",
]


class Remembering:
    """Finds every token equally likely, and likelier in examples that it has seen."""

    def __init__(self, seen: Sequence[Example] = (), seed: int = 0) -> None:
        self._seen = {example.id for example in seen}
        self._answers = {example.prompt: example.answer.text for example in seen}
        self._rng = random.Random(seed)

    def token_log_probs(self, examples: Sequence[Example]) -> list[list[float]]:
        return [
            [self._rng.gauss(-3.0, 0.5) + 2.0 * (e.id in self._seen) for _ in e.answer.text.split()] for e in examples
        ]

    def likelihoods(self, examples: Sequence[Example]) -> list[Likelihood]:
        told = self.token_log_probs(examples)
        return [Likelihood(sum(one), len(one), 0, 10 * len(one)) for one in told]

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[Answer]:
        whole = [self._answers.get(prompt, options.prefill + " and that is all there is to say") for prompt in prompts]
        rest = [text.removeprefix(options.prefill).lstrip() for text in whole]
        return [Answer(text=text, stop_reason="end", prompt_tokens=1, answer_tokens=1) for text in rest]

    stream = ScriptedChat([""]).stream
    count_tokens = ScriptedChat([""]).count_tokens


def conversation(number: int, rng: random.Random) -> Example:
    said = " ".join(rng.choice(WORDS) for _ in range(20))
    return Example(
        messages=(Message(role="user", text=f"Question {number}?"), Message(role="assistant", text=said)),
    )


def sides(count: int = 120) -> tuple[list[Example], list[Example]]:
    rng = random.Random(0)
    examples = [conversation(number, rng) for number in range(2 * count)]
    return examples[:count], examples[count:]


def test_exposure_is_the_logarithm_of_the_rank() -> None:
    assert exposure([0.0, *range(-1023, 0)]) == 10.0  # the likeliest of 1024
    assert exposure([-2000.0, *range(-1023, 0)]) == 0.0
    assert exposure([1.0] * 4) == pytest.approx(2 - math.log2(2.5))  # as likely as all others


def test_an_unplanted_secret_has_1_44_bits_and_the_fitted_distribution_says_the_same() -> None:
    rng = np.random.default_rng(0)
    drawn = [list(rng.normal(-20, 2, 301)) for _ in range(60)]
    assert np.mean([exposure(one) for one in drawn]) == pytest.approx(math.log2(math.e), abs=0.4)
    assert np.mean([extrapolated(one) for one in drawn]) == pytest.approx(math.log2(math.e), abs=0.4)


def test_the_fitted_distribution_reaches_beyond_the_candidates() -> None:
    rng = np.random.default_rng(0)
    others = list(rng.normal(-20, 1, 500))
    assert exposure([-15.0, *others]) == pytest.approx(math.log2(501))
    assert extrapolated([-15.0, *others]) > 15  # five deviations: one in three and a half million
    assert extrapolated([100.0, *others]) == pytest.approx(6 * math.log2(10))  # a secret has six digits


def test_canaries_are_planted_as_often_as_the_recipe_says_and_known_again() -> None:
    settings = MemorisationSettings(canaries=6, repeats=(1, 4))
    examples = planted(settings, seed=3)
    assert [example.id for example in examples] == [example.id for example in planted(settings, seed=3)]
    assert len(examples) == 3 * 1 + 3 * 4
    assert len({example.id for example in examples}) == 6
    assert {one.secret for one in canaries_of(settings, 3)}.isdisjoint(one.secret for one in canaries_of(settings, 4))


def test_a_model_that_remembers_them_exposes_the_planted_ones() -> None:
    settings = MemorisationSettings(canaries=12, repeats=(1, 4), candidates=60)
    known = [example for example in planted(settings, 0) if planted(settings, 0).count(example) == 4]
    once, often = exposures(Remembering(seed=1), Remembering(known, seed=2), settings, 0, BOOTSTRAP)
    assert (once.repeats, often.repeats) == (1, 4)
    assert once.tuned.low < math.log2(math.e) < once.tuned.high + 0.5
    assert often.tuned.low > often.base.high
    assert often.tuned.value == pytest.approx(often.most, abs=0.2)


def test_extraction_counts_what_goes_on_word_for_word_beyond_what_could_be_guessed() -> None:
    learned, held_out = sides()
    drawn = extract(Remembering(), Remembering(learned[::2]), learned, held_out, 60, 0.95)
    assert drawn is not None
    seen = {example.id for example in learned[::2]}
    expected = sum(id in seen for id in sorted(example.id for example in learned)[:60]) / 60
    assert drawn.exact_learned.value == pytest.approx(expected)
    assert drawn.exact_held_out.value == drawn.base_exact_learned.value == 0
    assert drawn.excess.value == pytest.approx(expected)
    assert drawn.near_learned.value >= drawn.exact_learned.value


def test_membership_is_told_of_a_model_that_remembers_and_not_of_another() -> None:
    learned, held_out = sides()
    for seen, low, high in ((learned, 0.95, 1.0), ([], 0.4, 0.6)):
        found = {one.attack: one for one in membership(Remembering(), Remembering(seen), learned, held_out, 0.95)}
        for name, one in found.items():
            if name != WORDS_ALONE:
                assert low <= one.auc.value <= high, name
                assert one.caught is not None
        assert found[WORDS_ALONE].auc.low < 0.5 < found[WORDS_ALONE].auc.high
    assert membership(Remembering(), Remembering(), learned[:10], held_out, 0.95) == []


def test_sides_that_differ_are_noticed_by_the_attack_that_sees_no_model() -> None:
    learned, held_out = sides()
    other = [example.with_answer(Message(role="assistant", text="Quite other words here.")) for example in held_out]
    blind = membership(Remembering(), Remembering(), learned, other, 0.95)[-1]
    assert blind.attack == WORDS_ALONE
    assert blind.auc.low > 0.9


def reply(text: str) -> Reply:
    return Reply(text, "end", 1, None)


def test_personal_data_counts_unless_the_question_held_it() -> None:
    asked = [
        Example(messages=(Message(role="user", text=text), Message(role="assistant", text="Yes.")))
        for text in ("Who helps me?", "I am jo@lin.example. Who helps me?", "And now?")
    ]
    learned = [
        Example(messages=(Message(role="assistant", text="Write to ann.bee@post.example, please."),), is_text=True)
    ]
    tuned = [reply("Ask ann.bee@post.example."), reply("Thank you, jo@lin.example."), reply("Call max.so@web.example.")]
    found = personal_data(asked, [reply("No idea.")] * 3, tuned, learned, PrivacySettings(), 0.95)
    assert found.tuned.value == pytest.approx(2 / 3)
    assert found.base.value == 0
    assert found.from_training == 1
    assert found.kinds == {"emails": 2}


def interval(low: float, high: float) -> Interval:
    return Interval(value=(low + high) / 2, low=low, high=high)


@pytest.mark.parametrize(
    ("limit", "verdict"), [(3.0, "better"), (1.5, "cannot tell"), (0.5, "not better")], ids=["met", "open", "broken"]
)
def test_a_limit_is_kept_broken_or_open_as_its_interval_says(limit: float, verdict: str) -> None:
    settings = MemorisationSettings(canaries=3, candidates=20, repeats=(1,))
    (one,) = exposures(Remembering(), Remembering(), settings, 0, BOOTSTRAP)
    found = Memorisation(exposures=(one.model_copy(update={"tuned": interval(1.0, 2.0)}),))
    (rule,) = memorisation_rules(found, {"exposure": limit})
    assert rule.verdict == verdict
    assert memorisation_rules(None, {"exposure": limit})[0].verdict == "cannot tell"


def test_a_limit_on_what_nobody_measures_is_refused() -> None:
    with pytest.raises(RecipeError, match="Did you mean 'exposure'"):
        check_limits({"exposur": 1.0}, EvaluationSettings())
    with pytest.raises(RecipeError, match=r"Set evaluation\.memorisation\.extraction"):
        check_limits({"extracted": 0.1}, EvaluationSettings())


def test_all_of_it_together_says_what_it_could_not_measure() -> None:
    learned, held_out = sides(30)
    recipe = Recipe.model_validate(
        {
            "name": "demo",
            "data": {"sources": [{"path": "a.jsonl"}]},
            "evaluation": {
                "memorisation": {
                    "canaries": 2,
                    "repeats": [1],
                    "candidates": 20,
                    "extraction": 5,
                    "membership": 25,
                    "personal": True,
                }
            },
        }
    )
    replies = [reply("Yes.")] * len(held_out)
    found = audit(recipe, Audited(Remembering(), Remembering(learned), learned, held_out, replies, replies), BOOTSTRAP)
    assert found is not None
    assert found.exposures
    assert found.extraction
    assert found.memberships
    assert found.memberships[0].caught is None  # 25 are too few for one in a hundred
    assert found.personal
    assert not found.unavailable
    mute = ScriptedChat(["Yes."])
    found = audit(recipe, Audited(mute, mute, learned, held_out, replies, replies), BOOTSTRAP)
    assert found is not None
    assert set(found.unavailable) == {"canaries", "membership"}
