"""Data sets in the form of Hugging Face's `datasets`: a folder here, or an id on the hub. No script of theirs is run.

`hf:NAME` means all splits, `hf:NAME#train` one, and `hf:NAME@CONFIGURATION` one of several configurations.
"""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as arrow
import pyarrow.compute as compute
import pyarrow.parquet as parquet

from sonneteer.data.files import SourceFile, kept_aside
from sonneteer.errors import DataError, ExtraError
from sonneteer.external.hub import online
from sonneteer.recipe.sections import SourceSettings

PREFIX = "hf:"
NAMED = re.compile(r"hf:(?P<name>[^@#]+)(?:@(?P<configuration>[^#]+))?(?:#(?P<split>.+))?")
SIDES = {"train": "train", "validation": "validation", "valid": "validation", "dev": "validation", "test": "test"}
"""Names of splits that are officially for a side of ours."""


class _Named(NamedTuple):
    name: str
    configuration: str | None
    split: str | None


def splits_of(source: SourceSettings, folder: Path) -> list[SourceSettings]:
    """One source for each split of a data set. Those called train, validation and test are for these sides."""
    named = _named(source.path)
    names = [named.split] if named.split else list(_splits(source.path, named, folder))
    whole = source.path.partition("#")[0]
    return [
        source.model_copy(update={"path": f"{whole}#{name}", "split": _side(source, name, len(names))})
        for name in names
    ]


def from_hub(path: str, folder: Path) -> SourceFile:
    """The rows of one split, as Parquet. Labels that are numbers get the names that the data set has for them."""
    named = _named(path)
    splits = _splits(path, named, folder)
    if named.split is None or named.split not in splits:
        raise DataError(f"{path}: there is no split '{named.split}'. There is: {', '.join(splits)}.")
    table = _with_label_names(splits[named.split])
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return kept_aside(path, [buffer.getvalue()], kind=".parquet")


def _named(path: str) -> _Named:
    match = NAMED.fullmatch(path)
    if match is None:
        raise DataError(f"{path} is no data set. Write hf:NAME, hf:NAME#train or hf:NAME@CONFIGURATION#train.")
    return _Named(match["name"], match["configuration"], match["split"])


def _side(source: SourceSettings, name: str, count: int) -> str:
    """The recipe's word counts. A data set's only split is for no side: all of them are cut from it."""
    return SIDES.get(name, "auto") if source.split == "auto" and count > 1 else source.split


def _splits(path: str, named: _Named, folder: Path) -> Mapping[str, Any]:
    """All splits: what was saved here, what is in a folder of data files, or what the hub has."""
    datasets = _library()
    local = folder / named.name
    if named.configuration and ((local / "dataset_dict.json").is_file() or (local / "dataset_info.json").is_file()):
        raise DataError(f"{path}: a saved data set has no configurations. Leave @{named.configuration} out.")
    try:
        if (local / "dataset_dict.json").is_file():
            return dict(datasets.load_from_disk(str(local)))
        if (local / "dataset_info.json").is_file():
            return {"train": datasets.load_from_disk(str(local))}
        if local.is_dir():
            return dict(datasets.load_dataset(str(local), named.configuration))
        with online(datasets):
            return dict(datasets.load_dataset(named.name, named.configuration))
    except (OSError, ValueError, KeyError, RuntimeError, arrow.ArrowException) as problem:
        where = "" if local.is_dir() else f"there is no folder {local}, and "
        raise DataError(f"{path} cannot be read: {where}{type(problem).__name__}: {problem}") from problem


def _with_label_names(split: Any) -> arrow.Table:
    table = split.with_format("arrow")[:]
    for column, feature in split.features.items():
        names = getattr(feature, "names", None)
        if names:
            numbers = table[column].combine_chunks()
            known = compute.if_else(compute.less(numbers, 0), None, numbers)
            place = table.schema.get_field_index(column)
            table = table.set_column(place, column, arrow.array(names).take(known))
    return table


def _library() -> Any:
    try:
        datasets = importlib.import_module("datasets")
    except ImportError as problem:
        raise ExtraError(
            f"A source that begins with {PREFIX} needs the library datasets, which does not load here ({problem}). "
            "Install it with pip install 'sonneteer[hf]'."
        ) from problem
    datasets.disable_progress_bars()
    return datasets
