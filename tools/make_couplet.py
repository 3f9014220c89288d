"""Make the bundled base model again from the public data: gather the text, run both recipes, put it into the package.

    .venv/bin/python tools/make_couplet.py DATA_FOLDER [WORK_FOLDER]

Takes about two and a half hours on two cores. Interrupted, the same command goes on.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch
from rich.console import Console

from sonneteer import lifecycle
from sonneteer.cli.screen import Screen
from sonneteer.models.load import BUNDLED, open_folder, save_model
from sonneteer.recipe import read_recipe
from sonneteer.recipes import couplet
from sonneteer.recipes.couplet.collect import collect
from sonneteer.store import Store


def main() -> None:
    """Collect, train, publish."""
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    work = Path(sys.argv[2] if len(sys.argv) == 3 else "build/couplet").absolute()
    if not (work / "chat.jsonl").exists():
        collect(Path(sys.argv[1]), work)
    first = stage("couplet.yaml", work)
    shutil.copytree(first, work / "first-stage", dirs_exist_ok=True)
    publish(stage("further.yaml", work))


def stage(name: str, work: Path) -> Path:
    """Run one recipe in a workspace of its own; returns the folder of the weights."""
    shutil.copy(Path(couplet.__file__).parent / name, work / name)
    store = Store(work / Path(name).stem)
    model = lifecycle.train(read_recipe(work / name), store, Screen(Console(stderr=True)))
    return store.root / model.folder


def publish(folder: Path) -> None:
    """Put a trained model into the package, its weights in bfloat16 to keep it small."""
    model = open_folder("couplet", folder)
    model.network.to(torch.bfloat16)
    model.network.generation_config.eos_token_id = sorted(model.renderer.stop_ids())
    save_model(model, BUNDLED)
    size = sum(file.stat().st_size for file in BUNDLED.iterdir())
    print(f"{BUNDLED}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
