"""EleutherAI's own harness asks our server over HTTP, and finds what it finds in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import torch

from sonneteer.models.engine.chat import EngineChat
from sonneteer.models.engine.engine import AnsweringEngine, Limits
from sonneteer.models.generate import LocalChat
from sonneteer.models.load import open_folder

from ..evaluation.tasks import write_tasks
from ..models.networks import saved

pytest.importorskip("lm_eval", reason="needs lm-evaluation-harness, which the extra 'dev' brings")


class Both(NamedTuple):
    inside: Any
    outside: Any
    tasks: Any


@pytest.fixture(scope="module")
def both(start: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    from lm_eval.models.openai_completions import LocalCompletionsAPI
    from lm_eval.tasks import TaskManager

    from sonneteer.evaluation.harness_model import HarnessModel

    folder = tmp_path_factory.mktemp("harness")
    model = open_folder("poet", saved("llama", folder / "model"))
    with torch.no_grad():
        model.network.get_output_embeddings().weight[3] *= 8  # it often ends at once
    engine = AnsweringEngine(model, Limits(seats=4))
    chat = EngineChat(engine)
    server = start(chat, context=chat.context)
    outside = LocalCompletionsAPI(
        base_url=f"{server.url}/v1/completions",
        model="poet",
        tokenizer=str(folder / "model"),
        tokenizer_backend="huggingface",
        max_length=chat.context,
        batch_size=4,
        max_retries=1,
    )
    manager = TaskManager(include_path=write_tasks(folder / "tasks"), include_defaults=False)
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder / "tasks")
        tasks = manager.load(manager.all_subtasks)["tasks"]
    for task in tasks.values():
        task.set_config(key="num_fewshot", value=0)
    yield Both(HarnessModel(LocalChat(model)), outside, tasks)
    engine.close()


def scored(model: Any, tasks: Any) -> Any:
    from lm_eval.evaluator import evaluate

    return evaluate(model, {"tasks": tasks}, bootstrap_iters=0)


def test_the_endpoint_gets_the_scores_of_the_model_in_this_process(both: Both) -> None:
    one, other = scored(both.inside, both.tasks), scored(both.outside, both.tasks)
    assert set(one["results"]) == {"colours", "endings", "prose", "sayings"}
    for name, figures in one["results"].items():
        assert {key: value for key, value in figures.items() if isinstance(value, float)} == pytest.approx(
            {key: value for key, value in other["results"][name].items() if isinstance(value, float)}, rel=1e-4
        ), name
        for ours, theirs in zip(one["samples"][name], other["samples"][name], strict=True):
            assert json.dumps(ours["arguments"]) == json.dumps(theirs["arguments"])
            for first, second in zip(ours["filtered_resps"], theirs["filtered_resps"], strict=True):
                assert first == second if isinstance(first, str) else first == pytest.approx(second, abs=1e-3)
