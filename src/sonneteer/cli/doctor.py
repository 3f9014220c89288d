"""What this machine can do, each fact with a plain sentence. Loads none of the libraries that it looks for."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sonneteer import profile

NEEDED_PYTHON = (3, 11)
LITTLE_DISK_GB = 2.0
LITTLE_MEMORY_GB = 2.0
BYTES_A_PARAMETER = 4  # float32
SHARE_FOR_WEIGHTS = 0.5  # of the free memory; the rest is for what is computed with them
MARKS = {"good": ("green", "✓"), "mind": ("yellow", "!"), "bad": ("red", "✗")}


class Finding(NamedTuple):
    """One fact about the machine, and what it means."""

    what: str
    found: str
    meaning: str
    state: Literal["good", "mind", "bad"] = "good"


def examine(workspace: Path) -> list[Finding]:
    """Everything that decides what can be done here."""
    cards = profile.graphics_cards()
    return [
        _python(),
        *(_library(name) for name in ("torch", "transformers", "peft")),
        _processor(),
        _bfloat16(),
        _graphics(cards),
        _memory(),
        _disk(workspace),
        _workspace(workspace),
        *_extras(),
    ]


def findings_page(findings: list[Finding]) -> RenderableType:
    """The findings as a table."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for finding in findings:
        colour, mark = MARKS[finding.state]
        table.add_row(Text(mark, style=colour), Text(finding.what, style="bold"), finding.found, Text(finding.meaning))
    return table


def _python() -> Finding:
    number = platform.python_version()
    if sys.version_info < NEEDED_PYTHON:
        return Finding("Python", number, "Too old: Sonneteer needs 3.11 or newer.", "bad")
    return Finding("Python", number, "Fine.")


def _library(name: str) -> Finding:
    number = profile.version(name)
    if number is None:
        return Finding(name, "missing", f"Nothing can be trained or asked without it: pip install {name}", "bad")
    return Finding(name, number, "Installed.")


def _processor() -> Finding:
    cores = profile.cores()
    meaning = "Fine." if cores >= 2 else "One core: everything works, slowly."
    return Finding("processor", f"{profile.processor()}, {cores} core{'s' if cores > 1 else ''}", meaning)


def _bfloat16() -> Finding:
    if profile.has_bfloat16_units():
        return Finding("bfloat16", "yes", "The processor multiplies short numbers itself, with half the memory.")
    return Finding("bfloat16", "no", "The processor computes in float32, which is the faster way here.")


def _graphics(cards: list[profile.GraphicsCard]) -> Finding:
    if not cards:
        return Finding("graphics card", "none", "Training and answering use the processor: fine for small models.")
    found = ", ".join(f"{card.name} ({card.memory_gb:.0f} GB)" for card in cards)
    if (profile.version("torch") or "").endswith("+cpu"):
        return Finding("graphics card", found, "Not used: this PyTorch is built for processors only.", "mind")
    return Finding("graphics card", found, "Training and answering use it.")


def _memory() -> Finding:
    total, free = profile.memory_gb(), profile.free_memory_gb()
    billions = free * SHARE_FOR_WEIGHTS / BYTES_A_PARAMETER
    meaning = f"Room for adapters on models of up to about {billions:.1g} billion parameters."
    if free < LITTLE_MEMORY_GB:
        return Finding("memory", f"{free:.1f} of {total:.1f} GB free", "Little: close other programs first.", "mind")
    return Finding("memory", f"{free:.1f} of {total:.1f} GB free", meaning)


def _disk(workspace: Path) -> Finding:
    free = profile.free_disk_gb(workspace)
    if free < LITTLE_DISK_GB:
        return Finding("disk", f"{free:.1f} GB free", "Little: checkpoints and models may not fit.", "mind")
    return Finding("disk", f"{free:.0f} GB free", "Fine.")


def _workspace(workspace: Path) -> Finding:
    place = next(path for path in (workspace.absolute(), *workspace.absolute().parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        return Finding("workspace", str(workspace), "Cannot be written. Choose another folder with --workspace.", "bad")
    return Finding(
        "workspace", str(workspace), "In use." if workspace.exists() else "Made when the first command needs it."
    )


def _extras() -> list[Finding]:
    """Optional parts, as the installed package declares them."""
    try:
        needs = metadata.requires("sonneteer") or []
    except metadata.PackageNotFoundError:  # run from its source folder
        return []
    lacking: dict[str, list[str]] = {}
    for need in needs:
        extra, name = re.search(r"extra == ['\"]([\w.-]+)['\"]", need), re.match(r"[\w.-]+", need)
        if extra and name:
            lacking.setdefault(extra[1], []).extend([name[0]] if profile.version(name[0]) is None else [])
    return [_extra(name, missing) for name, missing in lacking.items()]


def _extra(name: str, missing: list[str]) -> Finding:
    if not missing:
        return Finding(f"extra '{name}'", "installed", "Fine.")
    return Finding(f"extra '{name}'", "not installed", f"Optional. To have it: pip install 'sonneteer[{name}]'")
