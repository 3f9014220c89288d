"""Set up and run the project with nothing but Python: `python dev.py demo|test|slow|clients|check|bench|serve`.

Makes a virtual environment in .venv, installs the package with the tested versions of constraints.txt, and remembers
that it did, so that the second call starts at once.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
CLIENTS = VENV / "clients"
OLDER_CLIENTS = {
    "oldest": ["anthropic==0.125.0", "openai==1.109.1"],
    "older": ["anthropic==1.17.0", "openai==2.54.0"],
}
DEMO = ROOT / "demo"
BENCHMARKS = [
    ["benchmarks/training.py"],
    ["-m", "benchmarks.serving"],
    ["-m", "benchmarks.data"],
    ["benchmarks/privacy.py"],
    ["benchmarks/couplet.py"],
    ["benchmarks/bitext.py"],
    ["-m", "benchmarks.vocabulary"],
    ["benchmarks/privacy_trade.py"],
    ["-m", "benchmarks.continual"],
    ["benchmarks/drift.py"],
    ["-m", "benchmarks.resilience"],
]
PEERS = {
    "trl": ["trl==1.16.0", "datasets==5.2.0", "transformers", "peft", "torch", "--constraint", "constraints.txt"],
    "llamafactory": ["llamafactory==0.9.5", "torch==2.13.0"],  # asks for older versions than the constraints
    "data": ["presidio-analyzer==2.2.366", "datasketch==2.0.0", "text-dedup==0.4.0"],
    "data-juicer": [
        "py-data-juicer==1.6.1",
        "aiohttp==3.14.5",
        "scipy==1.17.1",
    ],  # imports the last two, and names neither
}


def main() -> int:
    """Run the task that the command line names."""
    tasks = {
        "demo": demo,
        "test": test,
        "slow": slow,
        "clients": clients,
        "check": check,
        "bench": bench,
        "serve": serve,
        "setup": set_up_all,
    }
    if len(sys.argv) != 2 or sys.argv[1] not in tasks:
        print(f"usage: python dev.py {'|'.join(tasks)}")
        return 3
    try:
        return tasks[sys.argv[1]]()
    except KeyboardInterrupt:
        return 130


def demo() -> int:
    """The bundled example from raw rows to a verdict."""
    set_up("")
    if not (DEMO / "recipe.yaml").exists():
        sonneteer("init", "support", str(DEMO))
    return sonneteer("run", "recipe.yaml", folder=DEMO)


def serve() -> int:
    """The demo's model behind an API; trained first if it is not there."""
    if not (DEMO / "workspace" / "support-dossier.html").exists():
        code = demo()
        if code:
            return code
    set_up("")
    return sonneteer("serve", "recipe.yaml", folder=DEMO)


def test() -> int:
    """The tests, without the slow ones."""
    return run_tests("not slow")


def slow() -> int:
    """The slow tests."""
    set_up("dev")
    set_up_older_clients()
    return run_tests("slow")


def clients() -> int:
    """The server against the real clients of Anthropic and OpenAI, in three major versions each."""
    set_up("dev")
    set_up_older_clients()
    return run([str(PYTHON), "-m", "pytest", "tests/serving/test_clients.py"], SONNETEER_CLIENTS=str(CLIENTS))


def check() -> int:
    """Style, types and formatting."""
    set_up("dev")
    commands = (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"])
    return max(run([str(PYTHON), "-m", *command]) for command in commands)


def bench() -> int:
    """The benchmarks, one after the other: hours. What a benchmark lacks, such as public data, it says and skips."""
    set_up("dev")
    set_up_peers()
    presidio = VENV / "peers" / "data" / PYTHON.relative_to(VENV)
    beside = {"benchmarks/privacy.py": ["--presidio", str(presidio)]} if presidio.exists() else {}
    return max(run([str(PYTHON), *command, *beside.get(command[-1], [])]) for command in BENCHMARKS)


def set_up_all() -> int:
    """Everything that the other tasks need."""
    set_up("dev")
    set_up_older_clients()
    return 0


def run_tests(marker: str) -> int:
    """pytest on two processes, one thread each."""
    set_up("dev")
    settings = {"SONNETEER_CLIENTS": str(CLIENTS), "OMP_NUM_THREADS": "1"}
    return run([str(PYTHON), "-m", "pytest", "-n", "2", "-m", marker], **settings)


def set_up(extra: str) -> None:
    """Install the package into .venv, unless exactly this was done before."""
    wanted = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")))
    stamp = VENV / f"installed-{extra or 'package'}"
    if stamp.exists() and stamp.read_text() == wanted.hexdigest() and PYTHON.exists():
        return
    print("Setting up (once; a few minutes, mostly PyTorch) ...", flush=True)
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    what = f".[{extra}]" if extra else "."
    pip("install", "--editable", what, "--constraint", "constraints.txt")
    stamp.write_text(wanted.hexdigest())


def set_up_older_clients() -> None:
    """The API clients of earlier major versions, each pair in a folder of its own."""
    for name, packages in OLDER_CLIENTS.items():
        stamp = CLIENTS / f"{name}.txt"
        if not stamp.exists() or stamp.read_text() != " ".join(packages):
            pip("install", "--target", str(CLIENTS / name), "--upgrade", *packages)
            stamp.write_text(" ".join(packages))


def set_up_peers() -> None:
    """What the training is compared with, each in an environment of its own; one that does not install is skipped."""
    for name, packages in PEERS.items():
        folder = VENV / "peers" / name
        stamp, reason = folder / "installed.txt", folder / "not-installed.txt"
        if any(path.exists() and path.read_text().startswith(" ".join(packages)) for path in (stamp, reason)):
            continue
        print(f"Setting up {name} for the benchmarks (once; a few minutes) ...", flush=True)
        venv.create(folder, with_pip=True)
        python = folder / PYTHON.relative_to(VENV)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        reason.unlink(missing_ok=True)
        if done.returncode:
            reason.write_text(" ".join(packages) + " cannot be installed here: " + done.stdout.strip().splitlines()[-1])
        else:
            stamp.write_text(" ".join(packages))


def pip(*arguments: str) -> None:
    """Run pip in .venv; its words are shown only if it fails."""
    command = [str(PYTHON), "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}")


def sonneteer(*arguments: str, folder: Path = ROOT) -> int:
    """The installed command."""
    return run([str(PYTHON), "-m", "sonneteer", *arguments], folder=folder)


def run(command: list[str], folder: Path = ROOT, **settings: str) -> int:
    """Run a command, its output shown; Ctrl-C reaches it, too."""
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **settings})
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the command got it as well, and saves its work


if __name__ == "__main__":
    sys.exit(main())
