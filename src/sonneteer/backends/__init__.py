"""Places where models are trained and opened, all under one contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sonneteer.chat import Chat
from sonneteer.progress import Progress
from sonneteer.records import Certificate, DatasetVersion, Example, ModelVersion, Renderer, Run


class Backend(Protocol):
    """Where a recipe's model is trained and opened."""

    @property
    def fingerprint(self) -> str:
        """Of the base model: another base is another data set and another run."""
        ...

    def renderer(self, examples: Sequence[Example]) -> Renderer:
        """How the base model reads. A model from scratch makes its tokenizer from the examples."""
        ...

    def fit(self, dataset: DatasetVersion, run: Run, progress: Progress) -> Run:
        """Train; goes on with an interrupted run. Returns the run with its figures."""
        ...

    def open(self, model: ModelVersion) -> Chat:
        """A trained model."""
        ...

    def open_base(self, run: Run | None) -> Chat:
        """The model as it was before training."""
        ...

    def certify(self, model: ModelVersion, run: Run, dataset: DatasetVersion) -> Certificate:
        """The proof, or the disproof, that what is opened is what was trained."""
        ...
