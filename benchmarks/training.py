"""Training side by side with TRL, the HF Trainer and LLaMA-Factory: seconds and memory of a step, on equal terms.

    python benchmarks/training.py [--peers FOLDER] [--json PATH] [--quick] [--workloads W1/16 ...]
        [--systems sonneteer trl ...]

FOLDER holds one virtual environment for each peer (`python dev.py bench` makes them in .venv/peers). The systems take
turns, each in a process of its own, on the same examples, weights and adapter; medians are over the rounds. On a
machine that has other work to do, read the seconds of the processors: they count what a system computed, not what it
waited.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from workloads import MEANINGS, WORKLOADS

from sonneteer.profile import has_bfloat16_units, machine

HERE = Path(__file__).resolve().parent
PEERS = {"trainer": "trl", "trl": "trl", "llamafactory": "llamafactory"}
"""The environment of each peer. HF Trainer comes with TRL's."""
UNITS = {
    "seconds_per_step": "s",
    "cpu_seconds_per_step": "s",
    "peak_rss_gb": "GB",
    "ratio_to_sonneteer": "1",
    "cpu_ratio_to_sonneteer": "1",
    "memory_ratio_to_sonneteer": "1",
    "share_of_gemm_peak": "1",
}


class Plan(NamedTuple):
    """How long the benchmark is."""

    workloads: list[str]
    layers: int = 30
    rounds: int = 3
    steps: int = 2
    systems: tuple[str, ...] = ("sonneteer", *PEERS)


def main() -> None:
    """Print the table."""
    options = _arguments()
    workloads, systems = options.workloads or list(WORKLOADS), tuple(options.systems)
    plan = Plan(workloads, options.layers, options.rounds, options.steps, systems)
    if options.quick:
        plan = Plan(options.workloads or ["W1/8", "W2"], layers=4, rounds=2, steps=1, systems=systems)
    peak = gemm_peak()
    results, skipped = run_all(plan, options.peers)
    figures = {workload: summary(workload, results, peak) for workload in plan.workloads}
    print_table(plan, figures, skipped, peak)
    if options.json:
        options.json.write_text("".join(json.dumps(line) + "\n" for line in as_lines(figures)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=HERE.parent / ".venv" / "peers")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="two workloads, four layers, two rounds of one step")
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS)
    parser.add_argument("--systems", nargs="+", choices=("sonneteer", *PEERS), default=("sonneteer", *PEERS))
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2, help="steps of a process; of several, the first is not counted")
    return parser.parse_args()


Key = tuple[str, str]
Results = dict[Key, list[dict[str, Any]]]
Figures = dict[str, dict[str, dict[str, float]]]
"""By workload, system and metric."""


def run_all(plan: Plan, peers: Path) -> tuple[Results, dict[Key, str]]:
    """Every system on every workload, taking turns; and why one was skipped."""
    results: Results = {}
    skipped: dict[Key, str] = {}
    for turn in range(plan.rounds):
        for workload in plan.workloads:
            for system in plan.systems:
                if (workload, system) in skipped:
                    continue
                print(f"round {turn + 1} of {plan.rounds}: {workload} {system}", file=sys.stderr, flush=True)
                told = run(system, workload, plan, peers)
                if "skipped" in told:
                    skipped[workload, system] = told["skipped"]
                else:
                    results.setdefault((workload, system), []).append(told)
    return results, skipped


def run(system: str, workload: str, plan: Plan, peers: Path) -> dict[str, Any]:
    """One process; what it told, or why it did not."""
    python = Path(sys.executable)
    if system in PEERS:
        python = peers / PEERS[system] / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        reason = python.parents[1] / "not-installed.txt"
        if not python.exists() or reason.exists():
            why = reason.read_text().strip() if reason.exists() else f"there is no {python}; `make bench` installs it"
            return {"skipped": why}
    command = [str(python), str(HERE / "training_systems.py"), system, workload]
    command += ["--layers", str(plan.layers), "--steps", str(plan.steps)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"skipped": f"failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}"}
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def gemm_peak() -> float:
    """Fastest product of two square matrices in the machine's best number format, in GFLOP per processor second."""
    code = (
        "import sys, time, torch; kind = getattr(torch, sys.argv[1]); n = 2048\n"
        "a, b, c = (torch.randn(n, n).to(kind) for _ in range(3)); best = 1e9\n"
        "for _ in range(12):\n"
        "    start = time.process_time(); torch.mm(a, b, out=c); best = min(best, time.process_time() - start)\n"
        "print(2 * n**3 / best / 1e9)"
    )
    kinds = ["float32", *(["bfloat16"] if has_bfloat16_units() else [])]
    return max(float(subprocess.check_output([sys.executable, "-c", code, kind])) for kind in kinds)


def summary(workload: str, results: Results, peak: float) -> dict[str, dict[str, float]]:
    """Each system's figures on a workload."""
    here = {system: runs for (name, system), runs in results.items() if name == workload}
    medians = {
        system: {
            "seconds_per_step": statistics.median(s for run in runs for s in run["seconds"]),
            "cpu_seconds_per_step": statistics.median(s for run in runs for s in run["cpu_seconds"]),
            "peak_rss_gb": statistics.median(run["peak_rss_gb"] for run in runs),
        }
        for system, runs in here.items()
    }
    ours = medians.get("sonneteer")
    for figures in medians.values() if ours else ():
        figures["ratio_to_sonneteer"] = figures["seconds_per_step"] / ours["seconds_per_step"]
        figures["cpu_ratio_to_sonneteer"] = figures["cpu_seconds_per_step"] / ours["cpu_seconds_per_step"]
        figures["memory_ratio_to_sonneteer"] = figures["peak_rss_gb"] / ours["peak_rss_gb"]
        gflop = here["sonneteer"][0]["gflop"]  # the least there is to do, whoever does it
        figures["share_of_gemm_peak"] = gflop / figures["cpu_seconds_per_step"] / peak
    return medians


def print_table(plan: Plan, figures: Figures, skipped: dict[Key, str], peak: float) -> None:
    """The machine, a line for each system on each workload, and what is missing."""
    here = machine()
    print(f"{here.processor}, {here.cores} cores, {here.memory_gb} GB; {peak:.0f} GFLOP per CPU second at most")
    print(
        f"SmolLM2-135M's shape with {plan.layers} layers, medians of {plan.rounds} rounds; 'x' is against Sonneteer\n"
    )
    print(f"{'workload':10}{'system':14}{'s/step':>8}{'x':>6}{'CPU s':>8}{'x':>6}{'GB':>7}{'x':>6}{'of peak':>9}")
    columns = (("seconds_per_step", "ratio"), ("cpu_seconds_per_step", "cpu_ratio"), ("peak_rss_gb", "memory_ratio"))
    for workload, systems in figures.items():
        print(f"{workload}: {MEANINGS[workload]}")
        for system, told in systems.items():
            cells = "".join(f"{told[a]:8.1f}{told.get(f'{b}_to_sonneteer', math.nan):6.1f}" for a, b in columns)
            print(f"{'':10}{system:14}{cells} {told.get('share_of_gemm_peak', math.nan):8.1%}")
    for (workload, system), reason in skipped.items():
        print(f"skipped: {workload} {system}: {reason}")


def as_lines(figures: Figures) -> Iterator[dict[str, str | float]]:
    """One line a figure."""
    for workload, systems in figures.items():
        for system, told in systems.items():
            for metric, value in told.items():
                head = {"workload": workload, "system": system, "metric": metric}
                yield {**head, "value": value, "unit": UNITS[metric]}


if __name__ == "__main__":
    main()
