"""What a value of another tool means here. Each function raises ValueError with a sentence where it means nothing."""

from __future__ import annotations

from typing import Any, get_args

from sonneteer.recipe.learning import Objective

FILES = "a file, or a list of files"


def unchanged(value: Any) -> Any:
    """The value means the same here."""
    return value


def opposite(value: Any) -> Any:
    """A switch that says the same the other way round."""
    return not value if isinstance(value, bool) else value


def method(value: Any) -> str:
    """How weights are adapted."""
    words = {"none": "full", "full_finetuning": "full", "full-finetuning": "full", "true": "lora", "false": "full"}
    said = str(value).lower()
    said = words.get(said, said)
    if said in ("lora", "full"):
        return said
    if said in ("qlora", "lora/qlora"):
        raise ValueError("here it is training.method 'lora' with training.base_weights '4bit'")
    raise ValueError("there is 'lora' and 'full'")


def last_layers(value: Any) -> Any:
    """Number of the last blocks that learn; -1 is the other tools' word for all."""
    if value == -1:
        return "all"
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return f"last {value}"
    raise ValueError("it must be a number of blocks: write training.layers, such as 'last 4' or '8-15'")


def bits(value: Any) -> str:
    """How many bits the frozen base takes."""
    if value in (4, 8):
        return f"{value}bit"
    raise ValueError("there is 4 and 8")


def switch(value: Any) -> str:
    """A truth value for a setting that is 'on' or 'off'."""
    if isinstance(value, bool):
        return "on" if value else "off"
    raise ValueError("there is true and false")


OBJECTIVES = {
    "sft": "imitation",
    "trl_sft": "imitation",
    "pt": "imitation",
    "trl_dpo": "dpo",
    "trl_kto": "kto",
    "trl_grpo": "grpo",
}
FORMS_OF_DPO = ("ipo", "simpo")


def objective(value: Any) -> str:
    """What is learned."""
    said = str(value).lower()
    said = OBJECTIVES.get(said, said)
    if said in FORMS_OF_DPO:
        raise ValueError(f"here it is training.objective 'dpo' with training.preference.loss '{said}'")
    if said in get_args(Objective):
        return said
    raise ValueError(f"there is {', '.join(map(repr, get_args(Objective)))}")


def preference_loss(value: Any) -> str:
    """The form of DPO's loss."""
    said = str(value).lower()
    if said in ("sigmoid", *FORMS_OF_DPO):
        return said
    raise ValueError("there is 'sigmoid', 'ipo' and 'simpo'")


def target_modules(value: Any) -> Any:
    """Layers that get an adapter: 'all', one name, names with commas, or a list (mlx-lm writes whole paths)."""
    if isinstance(value, str) and value in ("all", "all-linear", "all_linear"):
        return "all-linear"
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("the layers must be 'all-linear' or a list of names")
    return [name.strip().rpartition(".")[2] for name in names]


def all_linear(value: Any) -> str:
    """Axolotl's switch for all linear layers."""
    if value is True:
        return "all-linear"
    raise ValueError("list the layers in training.target_modules, and remove this switch")


def share(value: Any) -> Any:
    """A share of the examples, where other tools also take a number of rows."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 1:
        raise ValueError("here it is a share of all examples, such as 0.1, and not a number of rows")
    return value


def schedule(value: Any) -> str:
    """How the learning rate falls."""
    words = {
        "cosine": "cosine",
        "cosine_decay": "cosine",
        "cosine_with_min_lr": "cosine",
        "linear": "linear",
        "linear_schedule": "linear",
        "constant": "constant",
        "constant_with_warmup": "constant",
    }
    if str(value) in words:
        return words[str(value)]
    raise ValueError("there is 'cosine', 'linear' and 'constant'")


def warmup_steps(value: Any) -> Any:
    """Warm-up in steps: a fraction is a share, as in transformers 5."""
    if isinstance(value, (int, float)) and 0 <= value < 1:
        return value
    raise ValueError("here the warm-up is a share of all steps. Write training.warmup_share, such as 0.05")


def optimizer(value: Any) -> str:
    """The optimizer's family: variants that only save memory compute the same."""
    for name in ("adamw", "muon"):
        if isinstance(value, str) and name in value.lower():
            return name
    raise ValueError("there is 'adamw' and 'muon'")


def steps(value: Any) -> Any:
    """A number of steps, where other tools also take a share of the run."""
    if isinstance(value, float) and value < 1:
        raise ValueError("here it is a number of steps, and not a share of the run")
    return value


def max_steps(value: Any) -> Any:
    """Most steps: -1 is the other tools' word for no limit."""
    return None if value == -1 else value


def over_length(value: Any) -> str:
    """What becomes of an example that is too long."""
    words = {"drop": "drop", "delete": "drop", "raise": "fail"}
    if str(value) in words:
        return words[str(value)]
    raise ValueError(
        "nothing is ever cut here: an answer without its end teaches to stop anywhere. Say 'drop' or 'fail'"
    )


def files(value: Any) -> list[Any]:
    """Data files: one name, names with commas, or a list."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return value
    raise ValueError(f"it must be {FILES}")


SAME_HERE = {"split": ("train",), "train_on_split": ("train",)}
SHAPE_KEYS = ("type", "format", "ds_type", "chat_template")
PATH_KEYS = ("path", "dataset_path", "data_files", "dataset_name")


def datasets(value: Any) -> list[Any]:
    """Axolotl's and Oumi's list of data sets: files, or mappings that hold one. Shapes are recognised anew."""
    entries = value if isinstance(value, list) else [value]
    return [_dataset(entry) for entry in entries]


def _dataset(entry: Any) -> Any:
    if isinstance(entry, str):
        return entry
    if not isinstance(entry, dict):
        raise ValueError(f"it must be {FILES}")
    paths = [entry[key] for key in PATH_KEYS if isinstance(entry.get(key), str)]
    if not paths:
        raise ValueError("every entry needs a 'path' to a file")
    for key, said in entry.items():
        if key not in PATH_KEYS + SHAPE_KEYS and said is not None and said not in SAME_HERE.get(key, ()):
            raise ValueError(f"'{key}' of an entry has no counterpart; `fields` of a source says other names of fields")
    # With `path: json, data_files: x.jsonl` the path names the reader and not the file.
    return {"path": paths[-1] if "data_files" in entry else paths[0]}
