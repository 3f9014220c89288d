"""Where only upper blocks learn, the lower ones are computed once; the training comes to the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sonneteer import lifecycle
from sonneteer.models.trunk import Trunk
from sonneteer.progress import Silent
from sonneteer.recipe import read_recipe
from sonneteer.records import Run
from sonneteer.store import Store

from ..models.networks import saved

RECIPE = """
name: tiny
data: {sources: rows.jsonl, validation_share: 0.3}
base: {model: base}
training: {layers: last 1, learning_rate: 0.01, epochs: 3, batch_size: 4, rank: 4, precision: PRECISION}
"""


class Noting(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often the kept states are used."""
    uses: list[int] = []
    plain = Trunk.hidden_states
    monkeypatch.setattr(Trunk, "hidden_states", lambda *given: (uses.append(1), plain(*given))[1])
    return uses


def trained(folder: Path, precision: str, *words: str) -> tuple[Run, list[str]]:
    rows = [{"prompt": f"Say {i}", "completion": f"Good day, number {i}."} for i in range(24)]
    saved("llama", folder / "base")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recipe.yaml").write_text(RECIPE.replace("PRECISION", precision))
    store, noting = Store(folder / "workspace"), Noting()
    model = lifecycle.train(read_recipe(folder / "recipe.yaml", words), store, noting)
    assert not list(store.folder(model.run_id).glob("trunk-*"))
    return store.get(Run, model.run_id), noting.said


@pytest.mark.parametrize(("precision", "close"), [("float32", 1e-5), ("bfloat16", 1e-2)])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_training_with_kept_states_comes_to_the_same(
    tmp_path: Path, used: list[int], method: str, precision: str, close: float
) -> None:
    kept, _ = trained(tmp_path, precision, f"--training.method={method}")
    assert len(used) > 20
    used.clear()
    anew, _ = trained(tmp_path, precision, f"--training.method={method}", "--training.trunk_cache_gb=0")
    assert used == []
    assert kept.best_validation_loss == pytest.approx(anew.best_validation_loss, rel=close)
    assert kept.train_loss == pytest.approx(anew.train_loss, rel=close)
    assert kept.best_validation_loss < 0.97 * kept.first_validation_loss


def test_more_than_the_disk_may_hold_is_computed_again_and_said(tmp_path: Path, used: list[int]) -> None:
    _, said = trained(tmp_path, "float32", "--training.trunk_cache_gb=0.00001", "--training.epochs=1")
    assert used == []
    assert any("more than training.trunk_cache_gb" in text for text in said)
