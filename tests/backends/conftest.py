"""One small training, for all who try what may become of its result."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from sonneteer import lifecycle, versions
from sonneteer.progress import Silent
from sonneteer.recipe import LoadedRecipe, read_recipe
from sonneteer.records import Certificate
from sonneteer.store import Store

from ..made import easy_recipe
from ..models.networks import saved

RECIPE = """
name: tiny
data: {sources: rows.jsonl}
base: {model: base}
training: {learning_rate: 0.02, epochs: 2, rank: 4}
evaluation: {max_answer_tokens: 8, max_examples: 8}
"""


class Trained(NamedTuple):
    """A recipe, and a workspace in which it was run."""

    loaded: LoadedRecipe
    store: Store

    @property
    def result(self) -> Path:
        """The folder of the newest model."""
        return self.store.root / versions.newest(self.loaded, self.store).folder

    def certify(self) -> Certificate:
        """The newest model's certificate."""
        return lifecycle.certify(self.loaded, self.store, Silent())


def failed(certificate: Certificate) -> str:
    """What it could not prove."""
    return "\n".join(f"{check.name}: {check.says}" for check in certificate.checks if not check.is_passed)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certified")
    saved("llama", folder / "base")
    lifecycle.run(easy_recipe(folder, RECIPE), Store(folder / "workspace"), Silent())
    return folder


@pytest.fixture
def trained(once: Path, tmp_path: Path) -> Trained:
    shutil.copytree(once, tmp_path / "copy")
    return Trained(read_recipe(tmp_path / "copy" / "recipe.yaml"), Store(tmp_path / "copy" / "workspace"))
