"""A report holds what both models said, what it means, and how often the sealed split was opened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sonneteer.chat import Answer, Likelihood, Options
from sonneteer.errors import DataError
from sonneteer.evaluation.ask import Arm
from sonneteer.evaluation.cases import Cases, Mistake, case_of
from sonneteer.evaluation.dossier import Papers, write_dossier
from sonneteer.evaluation.evaluate import Arms, Contest, evaluate
from sonneteer.progress import Silent
from sonneteer.recipe.sections import DataSettings, PromotionSettings, Recipe, SourceSettings
from sonneteer.records import DatasetVersion, Example, LedgerEntry, Machine, Message, Prompt, Report, Run, Source, Split
from sonneteer.store import Store
from sonneteer.testing import ScriptedChat

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOSTILE = "</style><script>alert(1)</script>\u202eright to left " + "x" * 20_000


def recipe(*better_on: str) -> Recipe:
    rules = PromotionSettings(better_on=better_on or ("rouge_l",))
    return Recipe(name="demo", data=DataSettings(sources=(SourceSettings(path="a"),)), promotion=rules)


def examples(count: int = 12, text: str = "the right answer") -> list[Example]:
    return [
        Example(
            messages=(
                Message(role="system", text="be brief"),
                Message(role="user", text=f"question {i}"),
                Message(role="assistant", text=f"{text} {i}"),
            ),
            tags={"topic": ("refunds", "returns")[i % 2]},
        )
        for i in range(count)
    ]


def dataset() -> DatasetVersion:
    split = Split(file="f", examples=12, fingerprint="f")
    return DatasetVersion(
        id="data-1",
        name="demo",
        created_at=NOW,
        prepared_from="p",
        splits={"train": split, "validation": split, "test": split},
        sources=(Source(path="a", sha256="0" * 64, format="chat", rows=40),),
        totals={"train": 30, "test": 9, "broken": 1},
        ledger_file="l",
        token_counts={"train": 100},
        learned_token_counts={"train": 40},
    )


def run() -> Run:
    machine = Machine(processor="a processor", cores=2, memory_gb=8.0, software={"torch": "2.13.0"})
    settings = {"seed": 0, "training": recipe().training.model_dump(mode="json")}
    return Run(
        id="demo-1",
        name="demo",
        status="done",
        recipe=settings,
        dataset_id="data-1",
        base="couplet",
        base_fingerprint="b",
        machine=machine,
        started_at=NOW,
        steps=10,
        best_step=8,
        first_validation_loss=3.0,
        best_validation_loss=2.0,
        tokens=1000,
        unique_tokens=400,
        parameters=6_000_000,
        trained_parameters=100_000,
    )


class Knowing(ScriptedChat):
    """Answers each question as it was told to."""

    def __init__(self, answers: dict[str, str]) -> None:
        super().__init__([""])
        self.answers = answers

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[Answer]:
        said = [self.answers[prompt.messages[-1].text] for prompt in prompts]
        return [Answer(text=text, stop_reason="end", prompt_tokens=1, answer_tokens=1) for text in said]


def report(store: Store, *better_on: str, tuned: str = "the right answer", count: int = 12) -> Report:
    arms = Arms(base=ScriptedChat(["something else"]), tuned=ScriptedChat([tuned]))
    return evaluate(Contest(recipe(*better_on), run(), dataset(), arms, examples(count)), store, Silent())


def test_better_answers_are_found_better(tmp_path: Path) -> None:
    made = report(Store(tmp_path))
    assert made.verdict == "better"
    assert {c.metric for c in made.comparisons} == {"rouge_l", "chrf", "normalized_match", "exact_match"}
    assert report(Store(tmp_path), "exact_match").comparisons[0].metric == "exact_match", "what decides stands first"


def test_the_same_answers_to_a_dozen_questions_show_neither_a_gain_nor_that_there_is_none(tmp_path: Path) -> None:
    assert report(Store(tmp_path), tuned="something else").verdict == "cannot tell"


def test_a_model_without_likelihoods_has_no_perplexity_and_says_so(tmp_path: Path) -> None:
    made = report(Store(tmp_path), "perplexity")
    assert made.verdict == "cannot tell"
    assert "perplexity" in made.unavailable


def test_likelihoods_give_a_perplexity(tmp_path: Path) -> None:
    likely = [Likelihood(-1.0 - i / 10, 10, 5, 20) for i in range(12)]
    unlikely = [Likelihood(-20.0 - i, 10, 1, 20) for i in range(12)]
    arms = Arms(base=ScriptedChat(["a"], unlikely), tuned=ScriptedChat(["a"], likely))
    made = evaluate(Contest(recipe("perplexity"), run(), dataset(), arms, examples()), Store(tmp_path), Silent())
    assert made.verdict == "better"


def test_each_opening_of_the_sealed_split_is_counted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert report(store).test_openings == 1
    assert report(store, "chrf").test_openings == 2


def test_the_same_sealed_examples_in_another_data_set_are_no_new_ones(tmp_path: Path) -> None:
    store, arms = Store(tmp_path), Arms(base=ScriptedChat(["something else"]), tuned=ScriptedChat(["the right answer"]))
    report(store)
    other = dataset().model_copy(update={"id": "data-2"})
    fresh = examples(12, "a question that nobody has seen")
    counts = []
    for sealed in (examples()[:6] + fresh[6:], fresh[:6]):
        again = run().model_copy(update={"dataset_id": other.id})
        made = evaluate(Contest(recipe(), again, other, arms, sealed), store, Silent())
        counts.append(made.test_openings)
        other = dataset().model_copy(update={"id": "data-3"})
    assert counts == [2, 1]


def test_each_opening_makes_the_intervals_wider_and_an_interrupted_evaluation_counts_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, again, second = report(store), report(store), report(store, "chrf")
    assert first.confidence == pytest.approx(0.95)
    assert (again.confidence, again.test_openings) == (first.confidence, 1)
    assert second.confidence == pytest.approx(1 - 0.1 / 6)


def test_a_new_case_or_a_learning_curve_is_no_new_look_at_the_sealed_examples(tmp_path: Path) -> None:
    store, told = Store(tmp_path), recipe()
    case = case_of(Mistake((Message(role="user", text="and now?"),), bad="bad", good="the right answer"))
    curved = told.model_copy(update={"evaluation": told.evaluation.model_copy(update={"learning_curve": (0.5,)})})
    arms = Arms(base=ScriptedChat(["something else"]), tuned=ScriptedChat(["the right answer"]))
    first = evaluate(Contest(told, run(), dataset(), arms, examples()), store, Silent())
    cased = arms._replace(cases=Cases((case,)))
    again = evaluate(Contest(told, run(), dataset(), cased, examples()), store, Silent())
    third = evaluate(Contest(curved, run(), dataset(), arms, examples()), store, Silent())
    assert (again.test_openings, again.confidence, len(again.cases)) == (1, first.confidence, 1)
    assert again.id != first.id == third.id


def test_metrics_and_parts_are_corrected_together(tmp_path: Path) -> None:
    made = report(Store(tmp_path))
    for figure in (*made.comparisons, *made.slices.values()):
        assert figure.adjusted_p_value is not None
        assert figure.adjusted_p_value >= figure.p_values["randomisation"]


def test_further_models_answer_the_same_examples_and_stand_in_the_dossier(tmp_path: Path) -> None:
    others = (Arm("champion", ScriptedChat(["the right thing"]), "v1"),)
    arms = Arms(ScriptedChat(["something else"]), ScriptedChat(["the right answer"]), others)
    made = evaluate(Contest(recipe(), run(), dataset(), arms, examples()), Store(tmp_path / "w"), Silent())
    (figures,) = made.against.values()
    gains = {figure.metric: figure.gain.value for figure in figures}
    assert 0 < gains["rouge_l"] < next(c.gain.value for c in made.comparisons if c.metric == "rouge_l")
    page = dossier(tmp_path, made)
    assert "champion: rouge l" in page
    assert "Nothing left the machine" in page
    external = made.model_copy(update={"against": {"big": figures}})
    assert "test questions were sent to big" in dossier(tmp_path, external)


def test_the_same_comparison_is_not_made_twice(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = report(store)
    store.save(made)
    assert report(store) == made
    assert store.open_test_split("data-1") == 2


def test_side_by_side_shows_the_worst_and_the_best_and_topics_are_compared(tmp_path: Path) -> None:
    made = report(Store(tmp_path))
    gains = [pair.score_gain for pair in made.side_by_side]
    assert gains == sorted(gains)
    assert len(gains) == 10
    assert set(made.slices) == {"topic: refunds", "topic: returns"}
    assert dossier(tmp_path, made).count("be brief") == 1, "the instructions that all have in common stand there once"


def test_a_gain_that_only_one_group_had_is_refused_and_stands_in_the_dossier(tmp_path: Path) -> None:
    asked = examples(40)
    said = {one.messages[1].text: one.answer.text if i % 2 else "no" for i, one in enumerate(asked)}
    rules = PromotionSettings(better_on=("rouge_l",), equal_over=("topic", "person"))
    told = recipe().model_copy(update={"promotion": rules})
    arms = Arms(ScriptedChat(["something else"]), Knowing(said))
    made = evaluate(Contest(told, run(), dataset(), arms, asked), Store(tmp_path / "w"), Silent())
    (gap,) = made.gaps
    assert (gap.tag, gap.gap, gap.p_value < 0.01) == ("topic", 1.0, True)
    verdicts = {rule.rule: rule.verdict for rule in made.rules}
    assert verdicts["the gain must not differ over topic"] == "not better"
    assert verdicts["the gain must not differ over person"] == "cannot tell"
    assert "Who gained more: topic" in dossier(tmp_path, made)


def test_a_test_split_without_conversations_is_refused(tmp_path: Path) -> None:
    arms = Arms(base=ScriptedChat(["a"]), tuned=ScriptedChat(["a"]))
    with pytest.raises(DataError, match="no conversation"):
        evaluate(Contest(recipe(), run(), dataset(), arms, []), Store(tmp_path), Silent())


def dossier(tmp_path: Path, made: Report, reason: str = "no JSON") -> str:
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text(
        '{"step": 0, "validation_loss": 3.0}\n{"step": 1, "loss": 2.5}\n{"step": 8, "validation_loss": 2.0}\n'
    )
    ledger = [LedgerEntry(source="a", row=7, fate="broken", reason=reason)]
    papers = Papers(made, run(), dataset(), ledger, metrics)
    return write_dossier(papers, tmp_path / "dossier.html").read_text()


def test_the_dossier_tells_verdict_ledger_figures_and_limits(tmp_path: Path) -> None:
    page = dossier(tmp_path, report(Store(tmp_path / "w")))
    for words in (
        "Better than its base",
        "a, row 7",
        "could not be read",
        "rouge l",
        "1 source row could not",
        "side by side",
        "rouge l must be better: met",
        "smallest gain",
    ):
        assert words in page
    assert "saved\n60 %" in page


def test_nothing_on_the_page_asks_the_network_or_runs(tmp_path: Path) -> None:
    page = dossier(tmp_path, report(Store(tmp_path / "w")))
    assert "default-src 'none'" in page
    assert "<script" not in page
    for asking in ("src=", 'href="http', "@import", "url(http"):
        assert asking not in page


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    made = report(Store(tmp_path / "w"), tuned=HOSTILE)
    page = dossier(tmp_path, made, reason=HOSTILE)
    assert "<script" not in page
    assert page.count("</style>") == page.count("<style")


def test_a_verdict_on_one_example_says_that_it_cannot_tell(tmp_path: Path) -> None:
    made = report(Store(tmp_path / "w"), count=1)
    assert made.verdict == "cannot tell"
    assert "−1 to 1" in dossier(tmp_path, made)
