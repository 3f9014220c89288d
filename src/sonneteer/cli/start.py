"""Write a ready-made recipe and its examples into a folder, and never over anything that stands there."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import NamedTuple

from sonneteer.errors import MachineError, TakenError
from sonneteer.recipe import KINDS, write_recipe


class Start(NamedTuple):
    """The two files to begin with."""

    recipe: Path
    examples: Path
    is_new: bool
    """False where both stood there already, just as they would be written."""


def write_start(kind: str, folder: Path) -> Start:
    """Write `recipe.yaml` and the file of examples that it names.

    Raises MissingError where there is no such recipe, and TakenError, with nothing written, where a file of one of the
    two names says something else.
    """
    text = write_recipe(kind).encode()
    source = resources.files("sonneteer.recipes") / kind / KINDS[kind].file
    start = Start(folder / "recipe.yaml", folder / KINDS[kind].file, not (folder / "recipe.yaml").exists())
    wanted = {start.recipe: text, start.examples: source.read_bytes()}
    taken = [path for path, content in wanted.items() if path.exists() and path.read_bytes() != content]
    if taken:
        names = " and ".join(str(path) for path in taken)
        raise TakenError(
            f"{names} stands here already and stays as it is. Choose another folder: sonneteer init {kind} FOLDER"
        )
    for path, content in wanted.items():
        _write_new(path, content)
    return start


def _write_new(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as stream:
            stream.write(content)
    except FileExistsError:  # the same content, as was checked, or somebody was faster
        if not path.is_file() or path.read_bytes() != content:
            raise TakenError(f"{path} stands here already and stays as it is. Choose another folder.") from None
    except NotADirectoryError as problem:
        raise MachineError(f"{path.parent} cannot be a folder: {problem}. Choose another one.") from problem
