"""Data sets in the form of Hugging Face's library, from folders on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from sonneteer.data import prepare
from sonneteer.data.hub import from_hub, splits_of
from sonneteer.data.locations import expanded
from sonneteer.data.read import rows_of
from sonneteer.errors import DataError
from sonneteer.recipe.sections import SourceSettings
from sonneteer.store import Store
from tests.data.writing import WordReader, question, recipe_of, write_lines


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "faq").mkdir()
    write_lines(tmp_path / "faq" / "train.jsonl", [question(i) for i in range(10)])
    write_lines(tmp_path / "faq" / "test.jsonl", [question(i) for i in range(10, 14)])
    return tmp_path


def sides(folder: Path, path: str, split: str = "auto") -> list[tuple[str, str]]:
    source = SourceSettings.model_validate({"path": path, "split": split})
    return [(one.path, one.split) for one in splits_of(source, folder)]


def test_all_splits_are_read_each_for_its_official_side(folder: Path) -> None:
    assert sides(folder, "hf:faq") == [("hf:faq#train", "train"), ("hf:faq#test", "test")]
    assert sides(folder, "hf:faq", "train") == [("hf:faq#train", "train"), ("hf:faq#test", "train")]
    assert sides(folder, "hf:faq#test") == [("hf:faq#test", "auto")]
    dataset = prepare(recipe_of("hf:faq"), folder, Store(folder / "workspace"), WordReader())
    assert {source.path: source.rows for source in dataset.sources} == {"hf:faq#train": 10, "hf:faq#test": 4}
    assert dataset.splits["test"].examples == 4


def test_what_the_library_saved_is_read_with_the_names_of_its_labels(folder: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"prompt": Value("string"), "completion": ClassLabel(names=["billing", "returns"])})
    Dataset.from_dict({"prompt": ["a", "b", "c"], "completion": [1, 0, -1]}, features=features).save_to_disk(
        folder / "saved"
    )
    (source,) = expanded([SourceSettings(path="hf:saved")], folder, print)
    rows = rows_of(from_hub(source.path, folder))
    assert [dict(row.fields or {}) for row in rows] == [
        {"prompt": "a", "completion": "returns"},
        {"prompt": "b", "completion": "billing"},
        {"prompt": "c"},
    ]


@pytest.mark.parametrize(
    ("path", "said"),
    [("hf:faq#dev", "There is: train, test"), ("hf:faq@other#train", "cannot be read"), ("hf:", "Write hf:NAME")],
)
def test_what_is_not_there_is_told(folder: Path, path: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        from_hub(path, folder)
