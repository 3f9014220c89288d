"""The house's floors: imports go strictly downwards, and neighbours on one floor never import each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "sonneteer"

FLOORS: list[tuple[str, ...]] = [
    ("quiet", "errors", "words", "workers"),
    ("records", "progress"),
    ("chat", "recipe", "recipes", "migrations"),
    ("pages", "store", "profile", "testing", "privacy", "external"),
    ("groups",),
    ("data", "models", "evaluation", "serving", "monitoring", "deployments"),
    ("training",),
    ("backends",),
    ("search", "versions", "opening", "preparation"),
    ("contest", "promotion"),
    ("lifecycle",),
    ("circle", "iteration"),
    ("cli",),
    ("__main__",),
]
"""From the ground up. A room may use what is on the floors below it."""

ONLY_HERE = {
    "torch": {"models", "training", "backends"},
    "transformers": {"models", "training", "backends"},
    "peft": {"models"},
    "starlette": {"serving"},
    "uvicorn": {"serving"},
    "optuna": {"search"},
    "sqlalchemy": {"store", "migrations"},
    "typer": {"cli"},
}
"""Heavy libraries, and the only rooms that may import them."""

FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or path.name != "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """All modules that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_room_has_a_floor() -> None:
    assert {room_of(path) for path in FILES} == set(FLOOR_OF)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_strictly_downwards(path: Path) -> None:
    own = room_of(path)
    for module in imports(path):
        parts = module.split(".")
        if parts[0] == "sonneteer" and len(parts) > 1 and parts[1] in FLOOR_OF and parts[1] != own:
            assert FLOOR_OF[parts[1]] < FLOOR_OF[own], f"{own} may not import {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_heavy_libraries_stay_in_their_rooms(path: Path) -> None:
    for module in imports(path):
        rooms = ONLY_HERE.get(module.split(".")[0])
        assert rooms is None or room_of(path) in rooms, f"{room_of(path)} may not import {module}"
