"""Tasks of EleutherAI's harness are one more thing that a training may have cost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from sonneteer.chat import Options
from sonneteer.errors import DataError, ExtraError
from sonneteer.evaluation.intervals import Bootstrap
from sonneteer.evaluation.suites import Questions, Suite, read_suite, weigh_suite
from sonneteer.models.generate import LocalChat
from sonneteer.models.load import LanguageModel
from sonneteer.recipe.sections import SuiteSettings
from sonneteer.testing import ScriptedChat

from ..models.networks import network, tokenizer
from .tasks import ROWS, write_tasks

HOW = Bootstrap(0.95, 500, 0)
NOBODY = Questions([], Options(), ())

pytest.importorskip("lm_eval", reason="needs lm-evaluation-harness, which the extra 'dev' brings")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    write_tasks(folder / "tasks")
    return folder


def chat(seed: int) -> LocalChat:
    return LocalChat(LanguageModel("tiny", network("llama", seed), tokenizer(), "none"))


def own(folder: Path, *tasks: str, metrics: tuple[str, ...] = (), at_most: float = 0.5) -> Suite:
    return read_suite(
        SuiteSettings(kind="harness", path="tasks", tasks=tasks, metrics=metrics, at_most=at_most), folder
    )


def test_all_tasks_of_a_folder_are_compared_and_each_metric_is_a_rule(folder: Path) -> None:
    cost = weigh_suite(own(folder), chat(0), chat(1), NOBODY, HOW)
    assert {name.removeprefix("harness, ") for name in cost.figures} == {
        *("colours, acc", "colours, acc_norm", "endings, perplexity", "endings, acc"),
        *("prose, word_perplexity", "prose, byte_perplexity", "prose, bits_per_byte", "sayings, exact_match"),
    }
    assert len(cost.rules) == len(cost.figures)
    assert cost.figures["harness, colours, acc"].examples == len(ROWS["colours"])
    perplexity = cost.figures["harness, endings, perplexity"]
    assert not perplexity.higher_is_better
    assert perplexity.gain.low <= perplexity.base.value - perplexity.tuned.value <= perplexity.gain.high


def test_the_figures_are_those_that_the_harness_itself_reports(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval.evaluator import evaluate
    from lm_eval.tasks import TaskManager

    from sonneteer.evaluation.harness_model import HarnessModel

    manager = TaskManager(include_path=folder / "tasks", include_defaults=False)
    monkeypatch.chdir(folder / "tasks")
    tasks = manager.load(manager.all_subtasks)["tasks"]
    for task in tasks.values():
        task.set_config(key="num_fewshot", value=0)
    reported = [evaluate(HarnessModel(chat(seed)), {"tasks": tasks}, bootstrap_iters=0)["results"] for seed in (0, 1)]
    for name, figures in weigh_suite(own(folder), chat(0), chat(1), NOBODY, HOW).figures.items():
        _, task, metric = name.split(", ")
        assert figures.base.value == pytest.approx(reported[0][task][f"{metric},none"])
        assert figures.tuned.value == pytest.approx(reported[1][task][f"{metric},none"])


def test_a_model_that_forgot_is_refused_and_an_equal_one_is_not(folder: Path) -> None:
    settings = own(folder, "prose", metrics=("bits_per_byte",), at_most=0.05)
    assert [rule.verdict for rule in weigh_suite(settings, chat(0), chat(0), NOBODY, HOW).rules] == ["better"]
    forgetful = chat(0)
    forgetful.model.network.get_output_embeddings().weight.data *= 40
    (rule,) = weigh_suite(settings, chat(0), forgetful, NOBODY, HOW).rules
    assert rule.rule == "harness, prose, bits_per_byte must not be worse by 0.05 or more"
    assert rule.verdict == "not better"


def test_other_rows_are_another_comparison(folder: Path, tmp_path: Path) -> None:
    before = own(folder).rows
    assert before == own(folder).rows
    write_tasks(tmp_path / "tasks")
    (tmp_path / "tasks" / "sayings.jsonl").write_text('{"begin": "Hello", "end": "you"}\n')
    assert before != own(tmp_path).rows


def test_a_model_that_reads_no_plain_text_cannot_be_judged(folder: Path) -> None:
    (rule,) = weigh_suite(own(folder), ScriptedChat(["a"]), chat(0), NOBODY, HOW).rules
    assert (rule.verdict, rule.reason[:41]) == ("cannot tell", "harness: A model does not read plain text")


def test_what_cannot_be_measured_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"no metric mcc. It has: acc, acc_norm. mcc is no mean over rows"):
        weigh_suite(own(folder, "colours", metrics=("mcc",)), chat(0), chat(0), NOBODY, HOW)
    with pytest.raises(DataError, match="there is no folder"):
        read_suite(SuiteSettings(kind="harness", path="nowhere", at_most=0.1), folder)
    with pytest.raises(ValidationError, match="'harness' needs `tasks`"):
        SuiteSettings(kind="harness", at_most=0.1)
    (folder / "tasks" / "sayings.jsonl").rename(folder / "tasks" / "gone.jsonl")
    with pytest.raises(DataError, match=r"the task 'sayings' cannot be read: FileNotFoundError"):
        weigh_suite(own(folder, "sayings"), chat(0), chat(0), NOBODY, HOW)
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(ExtraError, match=r"pip install 'sonneteer\[harness\]'"):
        own(folder)
