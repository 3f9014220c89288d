"""What many tests begin with: a model version as the catalogue knows it, and a folder with something easy to learn."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from sonneteer.recipe import LoadedRecipe, read_recipe
from sonneteer.records import ModelVersion

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def version(name: str, number: int = 1, **changes: object) -> ModelVersion:
    """An adapter of the bundled base, of which nothing but this record exists."""
    made = ModelVersion(
        id=f"{name}-{number}",
        name=name,
        number=number,
        base="couplet",
        base_fingerprint="b",
        folder="runs/r/result",
        is_adapter=True,
        run_id="r",
        dataset_id="d",
        created_at=NOON,
    )
    return made.model_copy(update=changes)


def easy_recipe(folder: Path, recipe: str) -> LoadedRecipe:
    """The recipe in this folder, with sixty rows beside it; the answer is always the same, so it is learned at once."""
    rows = [
        {"messages": [{"role": "user", "content": f"Say {i}"}, {"role": "assistant", "content": "Good day to you."}]}
        for i in range(60)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recipe.yaml").write_text(recipe)
    return read_recipe(folder / "recipe.yaml")
