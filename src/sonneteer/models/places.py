"""Where a base model's files are: in the package, in a folder or on the hub; and what they are known by."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from sonneteer.errors import ModelError

BUNDLED = Path(__file__).parent / "couplet"
HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")
HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model", "*.txt"]


def locate(name: str, folder: Path) -> Path:
    """The folder that holds the model: bundled, local, or brought from the hub because the recipe names it."""
    if name == "couplet":
        return BUNDLED
    local = (folder / Path(name).expanduser()).resolve()
    if (local / "config.json").exists():
        return local
    if local.exists():
        raise ModelError(f"base.model: {local} holds no config.json, so it is not a model's folder.")
    if HUB_ID.match(name):
        return _download(name)
    raise ModelError(
        f"base.model: there is no '{name}'. Say 'couplet' for the bundled model, a folder (looked for at {local}), "
        "or a hub id such as Qwen/Qwen3-0.6B."
    )


def _download(hub_id: str) -> Path:
    """The one place where Sonneteer itself asks the hub, for the model that the recipe names."""
    from huggingface_hub import constants, snapshot_download

    try:
        return Path(snapshot_download(hub_id, local_files_only=True, allow_patterns=HUB_FILES))
    except Exception:  # not in the local cache, however the hub's library says so this time
        pass
    was_offline, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, False
    try:
        return Path(snapshot_download(hub_id, allow_patterns=HUB_FILES))
    except Exception as problem:
        raise ModelError(
            f"base.model: {hub_id} is no local folder, and the hub could not be reached or does not have it: {problem}."
            " Download it elsewhere and name its folder, or use the bundled 'couplet'."
        ) from problem
    finally:
        constants.HF_HUB_OFFLINE = was_offline


def fingerprint_of_folder(path: Path) -> str:
    """SHA-256 over the names and contents of a model's files, cut to sixteen hexadecimal digits."""
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()):
        if file.suffix in {".safetensors", ".json", ".jinja", ".model"}:
            digest.update(file.name.encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a model."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as stream:
            found[path.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found
