"""Every command that the README shows is one that exists, and the short recipe it shows is read."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from sonneteer.recipe import read_recipe

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = sorted({line.split("#")[0].strip() for line in README.split("\n") if line.startswith("sonneteer ")})


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", *shlex.split(command)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"}
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300
    )


def test_the_make_targets_of_the_readme_are_those_of_the_makefile() -> None:
    targets = re.findall(r"^make (\w+)", README, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^.*\b{target}\b.*:$", makefile, re.MULTILINE) for target in targets)


def test_the_short_recipe_is_a_whole_one(tmp_path: Path) -> None:
    (recipe,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "recipe.yaml").write_text(recipe)
    assert read_recipe(tmp_path / "recipe.yaml").recipe.base.model == "couplet"


def test_the_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.slow
def test_the_commands_of_the_readme_do_what_they_say(tmp_path: Path) -> None:
    assert run("sonneteer doctor", tmp_path).returncode == 0
    assert run("sonneteer init support my-project", tmp_path).returncode == 0
    folder = tmp_path / "my-project"
    shown = run("sonneteer prepare --show", folder)
    assert shown.returncode == 0, shown.stderr
    planned = run("sonneteer plan --json", folder)
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["plan"]["tokens"]["steps"] > 0
    quick = "--training.max_steps 4 --evaluation.max_examples 8 --evaluation.max_answer_tokens 8"
    report = run(f"sonneteer run {quick} --json", folder)
    assert report.returncode in (0, 2, 4), report.stderr
    document = json.loads(report.stdout)
    assert document["verdict"] in ("better", "not better", "cannot tell")
    assert Path(document["dossier"]).exists()
    answer = run(f"sonneteer chat {quick} --ask Hello --json", folder)
    assert answer.returncode == 0, answer.stderr
    assert run("sonneteer run --training.epochs 2 --training.learning_rat 1", folder).returncode == 3
    assert {command.split()[1] for command in COMMANDS} <= {
        *("doctor", "init", "prepare", "plan", "run", "search", "chat", "serve")
    }
