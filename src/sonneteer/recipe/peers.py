"""What Axolotl, LLaMA-Factory, TRL, ms-swift, Oumi, mlx-lm, Unsloth and Soup call a setting, and what we call it."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from sonneteer.recipe import convert

# Two numbers that make one of ours: see `recipe/read.py`.
EXAMPLES_AT_ONCE = "examples computed at once"
ACCUMULATION = "batches of a step"
SCALE = "adapter scale"


class Alias(NamedTuple):
    """Another tool's name for a setting of ours."""

    tool: str
    target: str
    convert: Callable[[Any], Any] = convert.unchanged
    is_null_said: bool = False
    """Whether an empty value says something. Elsewhere it says: not set."""


HF = "TRL"
LF = "LLaMA-Factory"

ALIASES: dict[str, Alias] = {
    "run_name": Alias(HF, "name"),
    "random_state": Alias("Unsloth", "seed"),
    # Data
    "datasets": Alias("Axolotl", "data.sources", convert.datasets),
    "dataset": Alias(f"{LF}, ms-swift", "data.sources", convert.files),
    "dataset_name": Alias(HF, "data.sources", convert.files),
    "dataset_path": Alias("Oumi", "data.sources", convert.files),
    "train_file": Alias(HF, "data.sources", convert.files),
    "data_files": Alias(HF, "data.sources", convert.files),
    "data.train": Alias("Soup", "data.sources", convert.files),
    "data.train.datasets": Alias("Oumi", "data.sources", convert.datasets),
    "sequence_len": Alias("Axolotl", "data.max_tokens"),
    "cutoff_len": Alias(LF, "data.max_tokens"),
    "max_length": Alias(f"{HF}, ms-swift", "data.max_tokens"),
    "max_seq_length": Alias("mlx-lm, Unsloth", "data.max_tokens"),
    "max_seq_len": Alias("torchtune", "data.max_tokens"),
    "model_max_length": Alias("Oumi", "data.max_tokens"),
    "val_set_size": Alias("Axolotl", "data.validation_share", convert.share),
    "val_size": Alias(LF, "data.validation_share", convert.share),
    "val_split": Alias("Soup", "data.validation_share", convert.share),
    "split_dataset_ratio": Alias("ms-swift", "data.validation_share", convert.share),
    "dataset_exact_deduplication": Alias("Axolotl", "data.remove_duplicates"),
    "excess_length_strategy": Alias("Axolotl", "data.over_length", convert.over_length),
    "truncation_strategy": Alias("ms-swift", "data.over_length", convert.over_length),
    # Base
    "base_model": Alias("Axolotl", "base.model"),
    "model_name_or_path": Alias(f"{LF}, {HF}", "base.model"),
    "model": Alias("mlx-lm, ms-swift", "base.model"),
    "model_name": Alias("Unsloth, Oumi", "base.model"),
    # Method and adapter
    "adapter": Alias("Axolotl", "training.method", convert.method, is_null_said=True),
    "finetuning_type": Alias(LF, "training.method", convert.method),
    "fine_tune_type": Alias("mlx-lm", "training.method", convert.method),
    "tuner_type": Alias("ms-swift", "training.method", convert.method),
    "train_type": Alias("ms-swift", "training.method", convert.method),
    "training_type": Alias("Unsloth", "training.method", convert.method),
    "use_peft": Alias(f"{HF}, Oumi", "training.method", convert.method),
    "lora_r": Alias(f"Axolotl, {HF}", "training.rank"),
    "lora_rank": Alias(f"{LF}, ms-swift", "training.rank"),
    "lora_parameters.rank": Alias("mlx-lm", "training.rank"),
    "lora.r": Alias("Soup", "training.rank"),
    "lora.rank": Alias("LoRA", "training.rank"),
    "lora_alpha": Alias(f"Axolotl, {LF}, {HF}", "training.alpha"),
    "lora.alpha": Alias("Soup", "training.alpha"),
    "lora_parameters.scale": Alias("mlx-lm", SCALE),
    "lora_dropout": Alias(f"Axolotl, {LF}, {HF}", "training.dropout"),
    "lora_parameters.dropout": Alias("mlx-lm", "training.dropout"),
    "lora.dropout": Alias("Soup", "training.dropout"),
    "lora_target_modules": Alias(f"Axolotl, {HF}", "training.target_modules", convert.target_modules),
    "lora_target_linear": Alias("Axolotl", "training.target_modules", convert.all_linear),
    "lora_target": Alias(LF, "training.target_modules", convert.target_modules),
    "lora_parameters.keys": Alias("mlx-lm", "training.target_modules", convert.target_modules),
    "lora.target_modules": Alias("Soup", "training.target_modules", convert.target_modules),
    "target_modules": Alias("ms-swift", "training.target_modules", convert.target_modules),
    "peft_use_rslora": Alias("Axolotl", "training.rank_stabilised"),
    "use_gradient_checkpointing": Alias("Unsloth", "training.gradient_checkpointing", convert.switch),
    "gradient_checkpointing": Alias(HF, "training.gradient_checkpointing", convert.switch),
    "grad_checkpoint": Alias("mlx-lm", "training.gradient_checkpointing", convert.switch),
    "quantization_bit": Alias(LF, "training.base_weights", convert.bits),
    "use_rslora": Alias(f"{LF}, {HF}, ms-swift", "training.rank_stabilised"),
    "peft_use_dora": Alias("Axolotl", "training.dora"),
    "use_dora": Alias(f"{LF}, {HF}, ms-swift", "training.dora"),
    "num_layers": Alias("mlx-lm", "training.layers", convert.last_layers),
    "lora_layers": Alias("mlx-lm", "training.layers", convert.last_layers),
    "freeze_trainable_layers": Alias(LF, "training.layers", convert.last_layers),
    "neftune_noise_alpha": Alias(f"Axolotl, {LF}, {HF}", "training.embedding_noise"),
    "label_smoothing_factor": Alias(HF, "training.label_smoothing"),
    "train_on_inputs": Alias("Axolotl", "training.learn_prompts"),
    "train_on_prompt": Alias(LF, "training.learn_prompts"),
    "mask_prompt": Alias("mlx-lm", "training.learn_prompts", convert.opposite),
    "assistant_only_loss": Alias(HF, "training.learn_prompts", convert.opposite),
    "completion_only_loss": Alias(HF, "training.learn_prompts", convert.opposite),
    # Objective
    "rl": Alias("Axolotl", "training.objective", convert.objective),
    "stage": Alias(LF, "training.objective", convert.objective),
    "task": Alias("Soup", "training.objective", convert.objective),
    "trainer_type": Alias("Oumi", "training.objective", convert.objective),
    "rlhf_type": Alias("ms-swift", "training.objective", convert.objective),
    "beta": Alias(f"{HF}, ms-swift", "training.preference.beta"),
    "rl_beta": Alias("Axolotl", "training.preference.beta"),
    "dpo_beta": Alias("Axolotl", "training.preference.beta"),
    "orpo_alpha": Alias("Axolotl", "training.preference.beta"),
    "pref_beta": Alias(LF, "training.preference.beta"),
    "loss_type": Alias(f"{HF}, ms-swift", "training.preference.loss", convert.preference_loss),
    "dpo_loss_type": Alias("Axolotl", "training.preference.loss", convert.preference_loss),
    "pref_loss": Alias(LF, "training.preference.loss", convert.preference_loss),
    "label_smoothing": Alias(HF, "training.preference.label_smoothing"),
    "dpo_label_smoothing": Alias("Axolotl", "training.preference.label_smoothing"),
    "teacher_model_name_or_path": Alias(HF, "training.distillation.teacher"),
    "teacher_model": Alias("ms-swift", "training.distillation.teacher"),
    "kd_temperature": Alias("Axolotl", "training.distillation.temperature"),
    "kd_alpha": Alias("Axolotl", "training.distillation.share"),
    "num_generations": Alias(f"{HF}, Axolotl, ms-swift", "training.reward.answers"),
    "max_completion_length": Alias(f"{HF}, Axolotl, ms-swift", "training.reward.max_answer_tokens"),
    "simpo_gamma": Alias(f"{LF}, {HF}, ms-swift", "training.preference.margin"),
    "desirable_weight": Alias(f"{HF}, ms-swift", "training.preference.liked_weight"),
    "undesirable_weight": Alias(f"{HF}, ms-swift", "training.preference.disliked_weight"),
    "kto_desirable_weight": Alias("Axolotl", "training.preference.liked_weight"),
    "kto_undesirable_weight": Alias("Axolotl", "training.preference.disliked_weight"),
    "kto_chosen_weight": Alias(LF, "training.preference.liked_weight"),
    "kto_rejected_weight": Alias(LF, "training.preference.disliked_weight"),
    # Batch and length
    "micro_batch_size": Alias("Axolotl", EXAMPLES_AT_ONCE),
    "per_device_train_batch_size": Alias(f"{LF}, {HF}", EXAMPLES_AT_ONCE),
    "batch_size": Alias("mlx-lm, Unsloth", EXAMPLES_AT_ONCE),
    "gradient_accumulation_steps": Alias(f"Axolotl, {LF}, {HF}", ACCUMULATION),
    "grad_accumulation_steps": Alias("mlx-lm", ACCUMULATION),
    "num_epochs": Alias("Axolotl, Unsloth", "training.epochs"),
    "num_train_epochs": Alias(f"{LF}, {HF}", "training.epochs"),
    "max_steps": Alias(f"Axolotl, {HF}", "training.max_steps", convert.max_steps),
    "iters": Alias("mlx-lm", "training.max_steps", convert.max_steps),
    # Learning rate
    "learning_rate": Alias(f"Axolotl, {LF}, {HF}, mlx-lm", "training.learning_rate"),
    "lr": Alias("Soup", "training.learning_rate"),
    "lr_scheduler": Alias("Axolotl", "training.schedule", convert.schedule),
    "lr_scheduler_type": Alias(f"{LF}, {HF}", "training.schedule", convert.schedule),
    "lr_schedule.name": Alias("mlx-lm", "training.schedule", convert.schedule),
    "warmup_ratio": Alias(f"Axolotl, {LF}, {HF}", "training.warmup_share"),
    "warmup_steps": Alias(f"Axolotl, {HF}", "training.warmup_share", convert.warmup_steps),
    "lr_schedule.warmup": Alias("mlx-lm", "training.warmup_share", convert.warmup_steps),
    "cosine_min_lr_ratio": Alias("Axolotl", "training.final_share"),
    "optim": Alias(HF, "training.optimizer", convert.optimizer),
    "optimizer": Alias("Axolotl, mlx-lm", "training.optimizer", convert.optimizer),
    "weight_decay": Alias(f"Axolotl, {HF}", "training.weight_decay"),
    "max_grad_norm": Alias(f"Axolotl, {LF}, {HF}", "training.max_gradient_norm"),
    # Validation and evaluation
    "eval_steps": Alias(f"Axolotl, {HF}", "training.validate_every", convert.steps),
    "steps_per_eval": Alias("mlx-lm", "training.validate_every"),
    "early_stopping_patience": Alias("Axolotl", "training.patience", is_null_said=True),
    "early_stopping_steps": Alias(LF, "training.patience"),
    "early_stop_interval": Alias("ms-swift", "training.patience"),
    "early_stop_patience": Alias("Soup", "training.patience"),
    "per_device_eval_batch_size": Alias(f"{LF}, {HF}", "evaluation.batch_size"),
    "eval_batch_size": Alias("Axolotl", "evaluation.batch_size"),
    "eval_max_new_tokens": Alias("Axolotl", "evaluation.max_answer_tokens"),
    "max_new_tokens": Alias(LF, "evaluation.max_answer_tokens"),
    # Serving
    "temperature": Alias(LF, "serving.temperature"),
}

CONTAINERS = (
    "model",
    "peft",
    "lora",
    "lora_config",
    "peft_config",
    "training_args",
    "sft",
    "lr_schedule",
    "lora_parameters",
)
"""Groups of other tools. What stands in them is looked up with the group's name, and then without it."""


class Refusal(NamedTuple):
    """Settings of other tools that have no counterpart here, and why."""

    why: str
    keys: dict[str, tuple[Any, ...]]
    """Names, which may end in '*', with the values that ask for what happens here anyway."""


REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        "results go to the workspace folder, which --workspace names",
        dict.fromkeys(
            ("output_dir", "overwrite_output_dir", "output", "adapter_path", "logging_dir", "dataset_prepared_path"), ()
        ),
    ),
    Refusal(
        "checkpoints are written at every validation and every `training.checkpoint_seconds`, and the best is kept",
        dict.fromkeys(("save_steps", "save_total_limit", "saves_per_epoch", "save_every", "save_first_step"), ())
        | {"save_strategy": ("best",), "load_best_model_at_end": (True,), "save_safetensors": (True,)}
        | {"metric_for_best_model": ("loss", "eval_loss"), "greater_is_better": (False,), "save_only_model": (False,)},
    ),
    Refusal(
        "every step is logged in the workspace, and nothing is sent anywhere",
        dict.fromkeys(("logging_steps", "steps_per_report", "logging_strategy", "logging_first_step", "log_level"), ())
        | dict.fromkeys(("report_to",), ("none", [], "None"))
        | dict.fromkeys(("wandb_*", "mlflow_*", "comet_*", "swanlab_*", "trackio_*", "use_tensorboard"), (False,))
        | {"wandb": (False,), "plot_loss": (True,), "include_tokens_per_second": (True,)},
    ),
    Refusal(
        "an interrupted run goes on by itself when the same command is given again",
        {"resume_from_checkpoint": (), "auto_resume_from_checkpoints": (True,), "resume_adapter_file": ()},
    ),
    Refusal(
        "the model's own chat template is used, in training as in serving",
        dict.fromkeys(
            ("template", "chat_template", "chat_template_jinja", "chat_template_path", "format_type"), ("auto",)
        )
        | dict.fromkeys(("prompt_template", "default_system", "tool_format", "data.format", "collator"), ()),
    ),
    Refusal(
        "the machine decides the precision",
        dict.fromkeys(
            ("bf16", "fp16", "tf32", "bfloat16", "float16", "dtype", "torch_dtype", "torch_dtype_str", "pure_bf16"),
            ("auto", False),
        ),
    ),
    Refusal(
        "`training.base_weights` says '4bit' or '8bit'",
        dict.fromkeys(
            ("load_in_4bit", "load_in_8bit", "quantization", "quantization_*", "quant_*", "bnb_*"), (False, "none")
        ),
    ),
    Refusal(
        "examples that begin alike are computed together by themselves, and nothing is packed or padded",
        dict.fromkeys(
            (
                "flash_attention",
                "flash_attn",
                "sdp_attention",
                "xformers_attention",
                "attn_implementation",
                "attn_impl",
            ),
            ("auto", False),
        )
        | dict.fromkeys(
            ("packing", "sample_packing", "eval_sample_packing", "neat_packing", "group_by_length"), (False,)
        )
        | dict.fromkeys(("pad_to_sequence_len", "padding_free", "use_liger_kernel", "enable_liger_kernel"), (False,)),
    ),
    Refusal(
        "`training.micro_batch_tokens` bounds the memory: make it smaller where memory is short",
        dict.fromkeys(("gradient_checkpointing_kwargs", "activation_offloading", "auto_find_batch_size"), (False,)),
    ),
    Refusal(
        "this version trains on one device",
        dict.fromkeys(
            ("deepspeed*", "fsdp*", "ddp_*", "tensor_parallel_size", "world_size", "num_gpus", "accelerator_*"), ()
        ),
    ),
    Refusal(
        "all of the assistant's answers are learned, each with its end; `training.learn_prompts` adds the prompts",
        {"mask_history": (False,), "roles_to_train": (["assistant"],), "train_on_eos": ("turn", "all")}
        | {"loss_scale": ("default",)},
    ),
    Refusal(
        "rows are recognised by the names of their fields: say other names in `fields` of the source",
        dict.fromkeys(
            ("dataset_text_field", "field_*", "formatting", "columns", "prompt_feature", "completion_feature"), ()
        ),
    ),
    Refusal(
        "`training.objective` says what is learned, and `training.preference` how",
        dict.fromkeys(("dpo_*", "kto_*", "pref_*", "simpo_*", "ppo_*", "grpo*", "reward_*", "ref_model"), ()),
    ),
    Refusal(
        "an adapter is a LoRA beside the chosen layers, and `training.layers` names the blocks that learn",
        dict.fromkeys(("lora_on_cpu", "use_galore"), (False,))
        | {"lora_bias": ("none",), "freeze_*": (), "additional_target": ()}
        | dict.fromkeys(
            ("lora_modules_to_save", "modules_to_save", "init_lora_weights", "pissa_init", "loraplus_*"), ()
        )
        | dict.fromkeys(("lora_layers_to_transform", "lora_fan_in_fan_out", "unfrozen_parameters"), ()),
    ),
    Refusal(
        "a training starts from `base.model`: name the model's folder there",
        dict.fromkeys(
            ("lora_model_dir", "adapter_name_or_path", "adapter_folder", "tokenizer_name", "tokenizer_name_or_path"), ()
        )
        | dict.fromkeys(
            ("base_model_config", "tokenizer_config", "tokenizer_type", "model_type", "revision_of_model"), ()
        )
        | {"model_revision": ("main",), "trust_remote_code": (False,), "is_llama_derived_model": ()},
    ),
    Refusal(
        "the model's tokenizer stays as it is",
        dict.fromkeys(("tokens", "special_tokens", "added_tokens_overrides", "add_tokens", "add_special_tokens"), ())
        | {"resize_vocab": (False,), "new_special_tokens": (), "add_new_tokens": (), "train_on_embeddings": (False,)},
    ),
    Refusal(
        "the optimizer's other constants are fixed",
        dict.fromkeys(
            ("adam_beta1", "adam_beta2", "adam_epsilon", "optimizer_config", "optim_args", "lr_scheduler_kwargs"), ()
        )
        | dict.fromkeys(("lr_schedule.arguments", "lr_schedule.warmup_init", "lr_min", "min_lr"), ()),
    ),
    Refusal(
        "validation and test are split from all sources by `data.validation_share` and `data.test_share`",
        dict.fromkeys(("test_datasets", "eval_dataset", "eval_file", "validation_file", "test_file", "eval_split"), ())
        | dict.fromkeys(("dataset_test_split", "data.validation", "data.test", "val_dataset", "max_eval_samples"), ())
        | {"dataset_train_split": ("train",)},
    ),
    Refusal(
        "`training.validate_every` says how many steps lie between two validations, and `evaluate` compares the models",
        {"eval_strategy": ("steps",), "evaluation_strategy": ("steps",), "do_eval": (True,), "do_train": (True,)}
        | {"train": (True,), "test": (False,), "do_predict": (False,), "predict_with_generate": (False,)}
        | dict.fromkeys(("evals_per_epoch", "val_batches", "test_batches", "eval_on_start", "compute_accuracy"), ()),
    ),
    Refusal(
        "data is read from the files in `data.sources`, whole; `data.processes` share the work",
        dict.fromkeys(
            ("dataset_dir", "dataset_info", "max_samples", "dataset_kwargs", "mix_strategy", "interleave_probs"), ()
        )
        | dict.fromkeys(
            ("preprocessing_num_workers", "dataset_num_proc", "dataset_processes", "dataloader_*", "num_workers"), ()
        )
        | {
            "shuffle_merged_datasets": (True,),
            "streaming": (False,),
            "overwrite_cache": (),
            "remove_unused_columns": (),
        },
    ),
    Refusal("`seed` decides everything that is left to chance", {"data_seed": (), "full_determinism": (True,)}),
    Refusal(
        "a finished model stays on this machine",
        {"push_to_hub": (False,), "hub_*": (), "use_auth_token": (False,), "hf_use_auth_token": (False,)},
    ),
    Refusal(
        "it tunes the machinery of its tool",
        {
            "plugins": (),
            "debug": (False,),
            "strict": (False,),
            "torch_compile": (False,),
            "use_cpu": (),
            "low_cpu_mem_usage": (),
        }
        | {"device_map": ("auto",), "use_unsloth": (False,), "disable_tqdm": (False,), "clear_cache_threshold": ()},
    ),
)


def alias_for(name: str) -> Alias | None:
    """Our setting for the dotted `name` of another tool: with the group that it stands in, or without."""
    while name not in ALIASES and "." in name:
        name = name.partition(".")[2]
    return ALIASES.get(name)


class Refused(NamedTuple):
    """Why a setting of another tool is not taken."""

    why: str
    harmless: tuple[Any, ...]
    """Values that ask for what happens here anyway."""


def refusal_for(name: str) -> Refused | None:
    """Why the dotted `name` of another tool has no counterpart; None where nobody knows the name."""
    while True:
        for refusal in REFUSALS:
            for pattern, harmless in refusal.keys.items():
                if fnmatchcase(name, pattern):
                    return Refused(refusal.why, harmless)
        if "." not in name:
            return None
        name = name.partition(".")[2]
