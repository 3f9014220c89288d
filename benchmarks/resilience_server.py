"""The server that `resilience.py` torments: the bundled model behind the APIs, watched as by `sonneteer serve`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import sonneteer.quiet  # noqa: F401 - before the libraries
from sonneteer import deployments, serving
from sonneteer.circle import live
from sonneteer.models.engine.chat import EngineChat
from sonneteer.models.engine.engine import AnsweringEngine, Limits
from sonneteer.models.load import open_model
from sonneteer.recipe import read_recipe
from sonneteer.records import Deployment, ModelVersion
from sonneteer.store import Store

NAME, SEATS, QUEUE = "bench", 8, 24
RECIPE = f"""
name: {NAME}
data: {{sources: none.jsonl}}
serving: {{max_answer_tokens: 64, max_streams: {SEATS}, max_queue: {QUEUE}}}
"""


def main(workspace: Path, port: int) -> None:
    """Serve until killed."""
    (workspace / "recipe.yaml").write_text(RECIPE)
    loaded, store = read_recipe(workspace / "recipe.yaml"), Store(workspace)
    if store.latest(Deployment, NAME) is None:
        _deploy_two_versions(store)
    base = open_model("couplet", workspace)
    chat = EngineChat(AnsweringEngine(base, Limits(seats=SEATS, prefix_bytes=16 * 1024**2)))
    born = datetime.now(UTC)
    watch = live.watch_of(loaded, store, lambda id: serving.ServedModel(NAME, chat, born, chat.context, id))
    assert watch.live is not None
    settings = loaded.recipe.serving.model_copy(update={"port": port})
    serving.serve([watch.live.champion], settings, serving.Keys({}), print, serving.Around(watch))


def _deploy_two_versions(store: Store) -> None:
    for number, stage in ((1, "retired"), (2, "champion")):
        said = {"id": f"{NAME}-{number}", "name": NAME, "number": number, "base": "couplet", "base_fingerprint": "f"}
        said |= {"folder": "none", "is_adapter": True, "run_id": "r", "dataset_id": "d", "stage": stage}
        store.save(ModelVersion.model_validate(said | {"created_at": datetime.now(UTC)}))
    deployments.deploy(store, NAME, "begin", champion_id=f"{NAME}-2", previous_champion_id=f"{NAME}-1")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
