"""One system on one workload of the training benchmark, in a process of its own; prints one line of JSON.

    python benchmarks/training_systems.py SYSTEM WORKLOAD [--layers N] [--steps N]

Standard output of the libraries goes to standard error. The first of several steps only warms up and is not counted.

The peers run without Sonneteer, from an environment of their own. Every system starts from the same random weights,
with LoRA of rank 16 on all linear layers and AdamW, and one step learns the whole workload.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workloads import END, VOCABULARY, WORKLOADS, Row

PEERS_SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
}
RANK, ALPHA, RATE = 16, 32, 2e-4
MICRO_BATCH = 4  # examples that a peer computes at once


class NotApplicable(Exception):
    """The system has no such objective, or cannot run it here."""


def main() -> None:
    """Run, and print seconds of each step, the peak of memory and the losses."""
    parser = argparse.ArgumentParser()
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--steps", type=int, default=1)
    options = parser.parse_args()
    os.environ.update(PEERS_SETTINGS)
    warnings.filterwarnings("ignore")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            told = SYSTEMS[options.system](options.workload, options.layers, options.steps)
    except (NotApplicable, ImportError) as problem:
        told = {"skipped": str(problem)}
    told["peak_rss_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(json.dumps(told))


class Watch:
    """Seconds by the clock, and of the processors, that each step took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []
        self.losses: list[float] = []

    def start(self) -> None:
        """A step begins."""
        self._began = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """A step is done."""
        self.seconds.append(time.perf_counter() - self._began[0])
        self.cpu_seconds.append(time.process_time() - self._began[1])

    def figures(self) -> dict[str, Any]:
        """The steps that count."""
        first = 1 if len(self.seconds) > 1 else 0
        return {"seconds": self.seconds[first:], "cpu_seconds": self.cpu_seconds[first:], "losses": self.losses}


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(flags)


def new_network(layers: int) -> Any:
    """Random weights in SmolLM2-135M's shape, the same in every system."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        rope_theta=100000.0,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=END,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config)


def sonneteer(workload: str, layers: int, steps: int) -> dict[str, Any]:
    """Sonneteer's own step, as `sonneteer train` does it."""
    from sonneteer import quiet  # noqa: F401  # before torch
    from sonneteer.models.adapters import add_adapter
    from sonneteer.recipe.sections import TrainingSettings
    from sonneteer.training.learner import Learner
    from sonneteer.training.lessons import Lesson
    from sonneteer.training.objectives import Dpo, Imitation
    from sonneteer.training.references import log_probs_of

    rows = WORKLOADS[workload]()
    has_pairs = rows[0].rejected is not None
    settings = TrainingSettings(
        objective="dpo" if has_pairs else "imitation", rank=RANK, alpha=ALPHA, learning_rate=RATE
    )
    network = new_network(layers)
    add_adapter(network, settings, seed=0)
    objective = Dpo(settings.preference) if has_pairs else Imitation()
    learner = Learner(network, objective, settings)
    lessons = [Lesson(_rendered(row)) for row in rows]
    if has_pairs:  # known before the training begins, as TRL's are
        with learner.arithmetic():
            known = log_probs_of(network, lessons, settings.micro_batch_tokens)
        lessons = [lesson._replace(references=values) for lesson, values in zip(lessons, known, strict=True)]
    watch = Watch()
    for step in range(steps):
        watch.start()
        watch.losses.append(learner.step(lessons, RATE, step + 1).loss)
        watch.stop()
    return {**watch.figures(), **work([sequence for lesson in lessons for sequence in lesson.sequences], layers)}


def _rendered(row: Row) -> list[Any]:
    from sonneteer.records import Rendered

    answers = [row.answer] if row.rejected is None else [row.answer, row.rejected]
    unlearned = [0.0] * len(row.prompt)
    return [Rendered([*row.prompt, *answer], unlearned + [row.weight] * len(answer)) for answer in answers]


def work(sequences: list[Any], layers: int) -> dict[str, float]:
    """Tokens, and the least floating point operations of a step: linear layers, attention and the learned logits."""
    from sonneteer.models.forest import plant

    forest = plant(sequences)
    keys = sum((s.end - s.start) * s.depth + (s.end - s.start) * (s.end - s.start + 1) // 2 for s in forest.segments)
    linear = 576 * (576 + 192 + 192 + 576 + 3 * 1536)
    lora = RANK * (2 * (576 + 576) + 2 * (576 + 192) + 3 * (576 + 1536))
    learned = len(set(forest.terms.rows_M.tolist()))
    # forward and gradient of the input; the adapter's own gradient besides; scores and sums, two and four products
    per_layer = 4 * linear * forest.unique_tokens + 6 * lora * forest.unique_tokens + 12 * keys * 9 * 64
    operations = layers * per_layer + 4 * learned * VOCABULARY * 576
    return {"naive_tokens": forest.naive_tokens, "unique_tokens": forest.unique_tokens, "gflop": operations / 1e9}


def trainer(workload: str, layers: int, steps: int) -> dict[str, Any]:
    """HF Trainer with PEFT: bfloat16, batches grouped by length."""
    from peft import LoraConfig, get_peft_model
    from transformers import Trainer, TrainingArguments

    rows = _without_pairs(workload)
    network = get_peft_model(new_network(layers), LoraConfig(**lora_settings()))
    clock = _clock()
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(**common_settings(folder, len(rows), steps), remove_unused_columns=False)
        is_weighted = any(row.weight != 1.0 for row in rows)
        kind = _weighted(Trainer) if is_weighted else Trainer
        made = kind(network, settings, data_collator=_padded, train_dataset=_dataset(rows), callbacks=[clock])
        made.train()
    return clock.watch.figures()


def trl(workload: str, layers: int, steps: int) -> dict[str, Any]:
    """TRL's SFTTrainer, DPOTrainer or GRPOTrainer: bfloat16, batches grouped by length where the trainer can."""
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

    rows = WORKLOADS[workload]()
    network, lora, clock = new_network(layers), LoraConfig(**lora_settings(), task_type="CAUSAL_LM"), _clock()
    with tempfile.TemporaryDirectory() as folder:
        common = common_settings(folder, len(rows), steps)
        shared = {"peft_config": lora, "callbacks": [clock], "processing_class": word_tokenizer()}
        in_order = common | {"train_sampling_strategy": "random"}
        if any(row.weight != 1.0 for row in rows):
            answers = _GivenAnswers(rows)
            grpo = GRPOConfig(**in_order, num_generations=answers.of_each, max_completion_length=answers.longest)
            given = {"reward_funcs": answers.rewards, "rollout_func": answers.roll_out}
            made = GRPOTrainer(network, args=grpo, train_dataset=answers.prompts(), **given, **shared)
        elif rows[0].rejected is None:
            sft = SFTConfig(**common, max_length=None)
            made = SFTTrainer(network, sft, train_dataset=_dataset(rows), **shared)
        else:
            in_order |= {"per_device_train_batch_size": 2, "gradient_accumulation_steps": len(rows) // 2}
            dpo = DPOConfig(**in_order, max_length=None, beta=0.1, precompute_ref_log_probs=True)
            made = DPOTrainer(network, args=dpo, train_dataset=_pairs(rows), **shared)
        made.train()
    return clock.watch.figures()


class _GivenAnswers:
    """Stands for the sampling of GRPOTrainer, so that its step alone is timed: it is handed the workload's answers."""

    def __init__(self, rows: list[Row]) -> None:
        self._groups: dict[str, list[Row]] = {}
        for row in rows:
            self._groups.setdefault(_words(row.prompt), []).append(row)
        self._reward_of = {tuple(row.answer): row.weight for row in rows}
        self.of_each = max(len(group) for group in self._groups.values())
        self.longest = max(len(row.answer) for row in rows)

    def prompts(self) -> Any:
        """One row for each group."""
        from datasets import Dataset

        return Dataset.from_dict({"prompt": list(self._groups)})

    def roll_out(self, prompts: list[str], _: Any) -> dict[str, Any]:
        """Each prompt comes as many times as it has answers."""
        left = {prompt: list(group) for prompt, group in self._groups.items()}
        rows = [left[prompt].pop(0) for prompt in prompts]
        return {
            "prompt_ids": [row.prompt for row in rows],
            "completion_ids": [row.answer for row in rows],
            "logprobs": None,
        }

    def rewards(self, completion_ids: list[list[int]], **_: Any) -> list[float]:
        """The advantages: a group's have mean 0 and deviation 1 already."""
        return [self._reward_of[tuple(ids)] for ids in completion_ids]


def llamafactory(workload: str, layers: int, steps: int) -> dict[str, Any]:
    """LLaMA-Factory's supervised fine-tuning on examples that are token ids already."""
    from datasets import DatasetDict
    from llamafactory.train.tuner import run_exp

    rows, clock = _without_pairs(workload), _clock()
    if any(row.weight != 1.0 for row in rows):
        raise NotApplicable("LLaMA-Factory has no weights of answers")
    with tempfile.TemporaryDirectory() as folder:
        new_network(layers).save_pretrained(f"{folder}/model")
        word_tokenizer().save_pretrained(f"{folder}/model")
        columns = _dataset(rows).remove_columns("length")
        columns = columns.add_column("attention_mask", [[1] * len(ids) for ids in columns["input_ids"]])
        DatasetDict({"train": columns}).save_to_disk(f"{folder}/tokens")
        common = common_settings(f"{folder}/out", len(rows), steps)
        arguments = {
            "stage": "sft",
            "do_train": True,
            "model_name_or_path": f"{folder}/model",
            "tokenized_path": f"{folder}/tokens",
            "dataset": "given",
            "template": "empty",
            "finetuning_type": "lora",
            "lora_rank": RANK,
            "lora_alpha": ALPHA,
            "lora_target": "all",
        }
        run_exp(common | arguments | {"report_to": "none"}, [clock])
    return clock.watch.figures()


def lora_settings() -> dict[str, Any]:
    """What every system's adapter is."""
    return {"r": RANK, "lora_alpha": ALPHA, "lora_dropout": 0.0, "target_modules": "all-linear"}


def common_settings(folder: str, examples: int, steps: int) -> dict[str, Any]:
    """What every trainer of the Hugging Face family is told."""
    return {
        "output_dir": folder,
        "use_cpu": True,
        "bf16": has_bfloat16(),
        "per_device_train_batch_size": min(MICRO_BATCH, examples),
        "gradient_accumulation_steps": max(1, examples // MICRO_BATCH),
        "train_sampling_strategy": "group_by_length",
        "gradient_checkpointing": False,
        "learning_rate": RATE,
        "lr_scheduler_type": "constant",
        "max_steps": steps,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def _clock() -> Any:
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        """Times the steps of a trainer and keeps its losses."""

        def __init__(self) -> None:
            self.watch = Watch()

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.watch.start()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.watch.stop()

        def on_log(self, *_: Any, logs: dict[str, Any], **__: Any) -> None:
            if "loss" in logs:
                self.watch.losses.append(float(logs["loss"]))

    return Clock()


def _without_pairs(workload: str) -> list[Row]:
    rows: list[Row] = WORKLOADS[workload]()
    if rows[0].rejected is not None:
        raise NotApplicable("HF Trainer has no preference objective")
    return rows


def _dataset(rows: list[Row]) -> Any:
    from datasets import Dataset

    columns: dict[str, list[Any]] = {
        "input_ids": [row.prompt + row.answer for row in rows],
        "labels": [[-100] * len(row.prompt) + row.answer for row in rows],
        "length": [len(row.prompt) + len(row.answer) for row in rows],
    }
    if any(row.weight != 1.0 for row in rows):
        columns["weight"] = [row.weight for row in rows]
    return Dataset.from_dict(columns)


def _pairs(rows: list[Row]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "prompt": [_words(row.prompt) for row in rows],
            "chosen": [f" {_words(row.answer)} </s>" for row in rows],
            "rejected": [f" {_words(row.rejected or [])} </s>" for row in rows],
        }
    )


def _words(ids: list[int]) -> str:
    return " ".join(f"w{i}" for i in ids if i != END)


def word_tokenizer() -> Any:
    """One word a token, so that text comes back as the very ids of the workload."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<s>": 1, "</s>": END} | {f"w{i}": i for i in range(3, VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<s>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", bos_token="<s>")


def _padded(examples: list[dict[str, Any]]) -> dict[str, Any]:
    import torch

    longest = max(len(example["input_ids"]) for example in examples)
    fill = {"input_ids": 0, "labels": -100}
    batch = {
        name: torch.tensor([example[name] + [value] * (longest - len(example[name])) for example in examples])
        for name, value in fill.items()
    }
    lengths = torch.tensor([len(example["input_ids"]) for example in examples])
    batch["attention_mask"] = (torch.arange(longest)[None] < lengths[:, None]).long()
    if "weight" in examples[0]:
        batch["weight"] = torch.tensor([example["weight"] for example in examples])
    return batch


def _weighted(trainer_class: Any) -> Any:
    """HF Trainer with the policy gradient's loss: each answer weighted by its advantage, logits of answers only."""
    import torch

    class Weighted(trainer_class):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            weight, labels = inputs.pop("weight"), inputs.pop("labels")
            logits = model(**inputs, use_cache=False).logits[:, :-1]
            is_learned = labels[:, 1:] >= 0
            losses = torch.nn.functional.cross_entropy(
                logits[is_learned].float(), labels[:, 1:][is_learned], reduction="none"
            )
            loss = (losses * weight[:, None].expand(labels[:, 1:].shape)[is_learned]).sum() / is_learned.sum()
            return (loss, None) if return_outputs else loss

    return Weighted


SYSTEMS: dict[str, Callable[[str, int, int], dict[str, Any]]] = {
    "sonneteer": sonneteer,
    "trainer": trainer,
    "trl": trl,
    "llamafactory": llamafactory,
}

if __name__ == "__main__":
    sys.exit(main())
