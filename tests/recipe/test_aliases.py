"""Other tools' names: accepted where they have a counterpart, refused with a reason where not."""

from __future__ import annotations

from pathlib import Path

import pytest

from sonneteer.errors import RecipeError
from sonneteer.recipe import LoadedRecipe, read_recipe
from sonneteer.recipe.peers import ACCUMULATION, ALIASES, EXAMPLES_AT_ONCE, REFUSALS, SCALE, refusal_for
from sonneteer.recipe.settings import SETTINGS

LEAST = "name: x\ndata: {sources: a.jsonl}\n"

AXOLOTL = """
name: x
base_model: NousResearch/Llama-3.2-1B
datasets:
  - path: data.jsonl
    type: alpaca
val_set_size: 0.2
adapter: lora
lora_model_dir:
sequence_len: 2048
lora_r: 8
lora_alpha: 16
lora_dropout: 0.05
lora_target_linear: true
gradient_accumulation_steps: 4
micro_batch_size: 2
num_epochs: 1
optimizer: adamw_bnb_8bit
lr_scheduler: linear
learning_rate: 0.0001
train_on_inputs: false
bf16: auto
load_in_4bit: false
warmup_ratio: 0.1
eval_steps: 50
max_steps: -1
early_stopping_patience: 5
weight_decay: 0.1
max_grad_norm: 0.5
wandb_project:
"""
LLAMA_FACTORY = """
name: x
model_name_or_path: meta-llama/Llama-3.2-1B
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
dataset: a.jsonl, b.jsonl
cutoff_len: 512
val_size: 0.1
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
num_train_epochs: 2.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
report_to: none
plot_loss: true
early_stopping_steps: 2
per_device_eval_batch_size: 4
"""
MLX = """
name: x
model: mlx-community/Llama-3.2-1B
train: true
fine_tune_type: lora
data: data.jsonl
batch_size: 4
iters: 1000
learning_rate: 1e-5
steps_per_eval: 200
max_seq_length: 256
mask_prompt: true
lora_parameters: {rank: 8, dropout: 0.1, scale: 20.0, keys: ["self_attn.q_proj", "self_attn.v_proj"]}
lr_schedule: {name: cosine_decay}
"""
OUMI = """
name: x
model:
  model_name: meta-llama/Llama-3.2-1B
  model_max_length: 512
data:
  train:
    datasets: [{dataset_name: a.jsonl}]
training: {trainer_type: TRL_SFT, use_peft: true, num_train_epochs: 2}
peft: {lora_r: 4, lora_alpha: 8, lora_target_modules: [q_proj]}
"""


def read(folder: Path, text: str, *overrides: str) -> LoadedRecipe:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return read_recipe(path, overrides)


def problems(folder: Path, text: str, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        read(folder, text, *overrides)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            AXOLOTL,
            {
                "data": {"sources": [{"path": "data.jsonl"}], "max_tokens": 2048, "validation_share": 0.2},
                "base": {"model": "NousResearch/Llama-3.2-1B"},
                "training": {
                    **{"rank": 8, "alpha": 16, "dropout": 0.05, "batch_size": 8, "epochs": 1, "schedule": "linear"},
                    **{"learning_rate": 1e-4, "warmup_share": 0.1, "validate_every": 50, "patience": 5},
                    **{"weight_decay": 0.1, "max_gradient_norm": 0.5},
                },
            },
        ),
        (
            LLAMA_FACTORY,
            {
                "data": {"sources": [{"path": "a.jsonl"}, {"path": "b.jsonl"}], "max_tokens": 512},
                "base": {"model": "meta-llama/Llama-3.2-1B"},
                "training": {"rank": 8, "batch_size": 8, "epochs": 2, "warmup_share": 0.1, "patience": 2},
                "evaluation": {"batch_size": 4},
            },
        ),
        (
            MLX,
            {
                "data": {"sources": [{"path": "data.jsonl"}], "max_tokens": 256},
                "base": {"model": "mlx-community/Llama-3.2-1B"},
                "training": {
                    **{"batch_size": 4, "max_steps": 1000, "learning_rate": 1e-5, "validate_every": 200, "rank": 8},
                    **{"dropout": 0.1, "alpha": 160, "target_modules": ["q_proj", "v_proj"]},
                },
            },
        ),
        (
            OUMI,
            {
                "data": {"sources": [{"path": "a.jsonl"}], "max_tokens": 512},
                "base": {"model": "meta-llama/Llama-3.2-1B"},
                "training": {"epochs": 2, "rank": 4, "alpha": 8, "target_modules": ["q_proj"]},
            },
        ),
    ],
    ids=["axolotl", "llama-factory", "mlx-lm", "oumi"],
)
def test_a_recipe_of_another_tool_means_the_same_here(tmp_path: Path, text: str, expected: dict[str, object]) -> None:
    loaded = read(tmp_path, text)
    ours = type(loaded.recipe).model_validate({"name": "x", **expected})
    assert loaded.recipe == ours


def test_other_tools_ways_to_adapt_mean_the_same_here(tmp_path: Path) -> None:
    text = "use_rslora: true\npeft_use_dora: true\nnum_layers: 4\nneftune_noise_alpha: 5\nlabel_smoothing_factor: 0.1\n"
    training = read(tmp_path, LEAST + text).recipe.training
    assert (training.rank_stabilised, training.dora, training.layers) == (True, True, "last 4")
    assert (training.embedding_noise, training.label_smoothing) == (5, 0.1)
    assert read(tmp_path, LEAST + "num_layers: -1").recipe.training.layers == "all"


def test_other_tools_words_for_rewards_and_teachers_mean_the_same_here(tmp_path: Path) -> None:
    text = "rlhf_type: grpo\nnum_generations: 4\nmax_completion_length: 32\nkd_alpha: 0.5\nteacher_model: big\n"
    training = read(tmp_path, LEAST + text).recipe.training
    assert (training.objective, training.reward.answers, training.reward.max_answer_tokens) == ("grpo", 4, 32)
    assert (training.distillation.teacher, training.distillation.share) == ("big", 0.5)


PREFERENCES = {
    "Axolotl": "rl: kto\nrl_beta: 0.2\nkto_undesirable_weight: 1.5\n",
    "LLaMA-Factory": "stage: kto\npref_beta: 0.2\nkto_rejected_weight: 1.5\n",
    "ms-swift": "rlhf_type: kto\nbeta: 0.2\nundesirable_weight: 1.5\n",
    "Oumi": "training: {trainer_type: TRL_KTO, undesirable_weight: 1.5, preference: {beta: 0.2}}\n",
}


@pytest.mark.parametrize("text", PREFERENCES.values(), ids=list(PREFERENCES))
def test_other_tools_objectives_mean_the_same_here(tmp_path: Path, text: str) -> None:
    training = read(tmp_path, LEAST + text).recipe.training
    assert (training.objective, training.preference.beta, training.preference.disliked_weight) == ("kto", 0.2, 1.5)


def test_every_mapping_is_told(tmp_path: Path) -> None:
    loaded = read(tmp_path, LEAST + "sequence_len: 64\nadapter: lora\noptim: adamw_torch\nbf16: auto\nuse_peft: true\n")
    assert loaded.notes == [
        "sequence_len (Axolotl) -> data.max_tokens",
        "adapter (Axolotl) -> training.method",
        "optim: adamw_torch (TRL) -> training.optimizer: adamw",
        "bf16: auto is what happens here anyway: the machine decides the precision",
        "use_peft: true (TRL, Oumi) -> training.method: lora",
    ]


@pytest.mark.parametrize("name", ALIASES)
def test_every_alias_leads_to_a_setting(name: str) -> None:
    assert ALIASES[name].target in {*SETTINGS, EXAMPLES_AT_ONCE, ACCUMULATION, SCALE}


REFUSED = [key for refusal in REFUSALS for key in refusal.keys]


@pytest.mark.parametrize("name", REFUSED)
def test_every_refused_name_is_refused_with_its_reason_and_is_nobody_elses(tmp_path: Path, name: str) -> None:
    name = name.replace("*", "something")
    assert name not in SETTINGS
    assert name not in ALIASES
    refused = refusal_for(name)
    assert refused is not None
    text = "name: x\n" + (f"{name.replace('.', ': {')}: strange" + "}" * name.count("."))
    (found, *_) = problems(tmp_path, text)
    assert f"{name} has no counterpart: {refused.why}. Remove the setting." in found


def test_no_name_is_refused_twice() -> None:
    assert len(REFUSED) == len(set(REFUSED))


def test_an_empty_foreign_setting_says_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, LEAST + "wandb_project:\nlora_r:\nresume_from_checkpoint:\n").notes == []


def test_axolotls_empty_adapter_means_all_weights(tmp_path: Path) -> None:
    assert read(tmp_path, LEAST + "adapter:\n").recipe.training.method == "full"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("adapter: qlora", "training.base_weights '4bit'"),
        ("quantization_bit: 3", "there is 4 and 8"),
        ("training: {method: full, base_weights: 4bit}", "trains these weights"),
        ("load_in_4bit: true", "`training.base_weights` says"),
        ("finetuning_type: freeze", "there is 'lora' and 'full'"),
        ("lora_target_linear: false", "training.target_modules"),
        ("val_set_size: 500", "not a number of rows"),
        ("warmup_steps: 100", "training.warmup_share"),
        ("eval_steps: 0.1", "a number of steps"),
        ("lr_scheduler: polynomial", "there is 'cosine', 'linear' and 'constant'"),
        ("optim: adafactor", "there is 'adamw' and 'muon'"),
        ("truncation_strategy: left", "nothing is ever cut here"),
        ("datasets: [{type: alpaca}]", "needs a 'path'"),
        ("datasets: [{path: a, shards: 3}]", "'shards' of an entry has no counterpart"),
        ("dataset: 5", "a file, or a list of files"),
        ("stage: ppo", "there is 'imitation', 'dpo'"),
        ("freeze_trainable_layers: -2", "such as 'last 4'"),
        ("training: {objective: distillation}", "training.distillation.teacher is missing"),
        ("training: {layers: top}", "must be 'all', 'last 4'"),
        ("rl: ipo", "training.preference.loss 'ipo'"),
        ("pref_loss: hinge", "there is 'sigmoid', 'ipo' and 'simpo'"),
        ("ppo_epochs: 4", "`training.objective` says what is learned"),
        ("gradient_accumulation_steps: 4", "Say training.batch_size instead"),
        ("micro_batch_size: auto", "must be a whole number from 1"),
    ],
)
def test_a_foreign_value_without_a_counterpart_is_refused_with_the_reason(
    tmp_path: Path, line: str, sentence: str
) -> None:
    least = "name: x\n" if line.startswith("dataset") else LEAST
    (found,) = problems(tmp_path, least + line)
    assert found.startswith(f"recipe.yaml, line {2 if least != LEAST else 3}: {line.partition(':')[0]}")
    assert sentence in found


def test_two_names_that_contradict_are_a_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, LEAST + "lora_r: 8\ntraining: {rank: 16}\n") == [
        "recipe.yaml, line 4: training.rank says 16, but lora_r (recipe.yaml, line 3) says 8, and both mean "
        "training.rank. Remove one of them."
    ]


def test_two_names_that_agree_are_none(tmp_path: Path) -> None:
    assert read(tmp_path, LEAST + "lora_r: 8\nlora_rank: 8\ntraining: {rank: 8}\n").recipe.training.rank == 8


def test_batch_and_accumulation_are_multiplied_and_told(tmp_path: Path) -> None:
    loaded = read(tmp_path, LEAST + "micro_batch_size: 2\ngradient_accumulation_steps: 4\n")
    assert loaded.recipe.training.batch_size == 8
    assert loaded.notes == ["micro_batch_size 2 x gradient_accumulation_steps 4 (Axolotl) -> training.batch_size: 8"]


def test_a_batch_that_contradicts_the_product_is_a_problem(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, LEAST + "micro_batch_size: 2\ntraining: {batch_size: 16}\n")
    assert "both mean training.batch_size" in found


def test_the_command_line_replaces_what_the_file_says_under_another_name(tmp_path: Path) -> None:
    text = LEAST + "micro_batch_size: 2\ngradient_accumulation_steps: 4\nlora_r: 4\n"
    training = read(tmp_path, text, "--training.batch_size", "5", "--lora_rank", "9").recipe.training
    assert (training.batch_size, training.rank) == (5, 9)
    assert read(tmp_path, text, "--gradient-accumulation-steps", "3").recipe.training.batch_size == 6
    assert read(tmp_path, LEAST + "training: {batch_size: 7}", "--batch_size", "3").recipe.training.batch_size == 3
