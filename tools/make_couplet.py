"""Make the bundled base model again from the public data: gather the text, run couplet.yaml, put it into the package.

    .venv/bin/python tools/make_couplet.py DATA_FOLDER [WORK_FOLDER]

Takes about an hour and a half on two cores. Interrupted, the same command goes on.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch

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
    work = Path(sys.argv[2] if len(sys.argv) == 3 else "build/couplet")
    if not (work / "chat.jsonl").exists():
        collect(Path(sys.argv[1]), work)
    shutil.copy(Path(couplet.__file__).parent / "couplet.yaml", work / "recipe.yaml")
    store = Store(work / "workspace")
    from rich.console import Console

    model = lifecycle.train(read_recipe(work / "recipe.yaml"), store, Screen(Console(stderr=True)))
    publish(store.root / model.folder)


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
