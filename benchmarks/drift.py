"""Drift on clinc150: false alarms in quiet years, and how soon a rising share of out-of-scope questions is noticed.
The same of dislikes, drawn by chance, which need no data.

A quiet year: all in-scope questions are shuffled and dealt to the view, the profile and a stream of 60 a day for 200
days, so that nothing differs but by chance. Then a share of out-of-scope questions sets in after a quiet time.

    python benchmarks/drift.py [FOLDER] [--years 40]

FOLDER is clinc150's; by default that of the folder shared/data beside the checkout.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
from pathlib import Path

import numpy as np

from sonneteer.monitoring.evidence import evidence
from sonneteer.monitoring.health import PROFILE_PART
from sonneteer.monitoring.view import Figures, Seen, View
from sonneteer.recipe.sections import MonitoringSettings

CLINC = Path(__file__).resolve().parents[2] / "shared" / "data" / "customer_service" / "clinc150"
PER_DAY, DAYS, VIEW, PROFILE = 60, 200, 4000, 6000
IN_SCOPE, OUT_OF_SCOPE = (
    ("train.jsonl.gz", "val.jsonl", "test.jsonl"),
    ("oos_train.jsonl", "oos_val.jsonl", "oos_test.jsonl"),
)
SHARES, QUIET_DAYS, AFTERWARDS = (0.1, 0.2, 0.3, 0.5), (10, 100), 2000
TOLERATED, DISLIKED, JUDGED_SHARE = MonitoringSettings().most_disliked, (0.6, 0.7, 0.8, 0.9), 0.2
OTHERS = 7
"""Games that are played beside that of the dislikes, and stand still here."""
Signals = dict[str, Figures]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=CLINC)
    parser.add_argument("--years", type=int, default=40)
    arguments = parser.parse_args()
    dislikes(arguments.years)
    if not arguments.folder.exists():
        sys.exit(f"drift: skipped, there is no {arguments.folder}; name clinc150's folder.")
    pool, strange = (read(arguments.folder, names) for names in (IN_SCOPE, OUT_OF_SCOPE))
    level = PROFILE_PART * MonitoringSettings().false_alarm_share
    false_alarms, delays = 0, {(share, quiet): [] for share in SHARES for quiet in QUIET_DAYS}
    for year in range(arguments.years):
        random.Random(year).shuffle(pool)
        view = View(pool[:VIEW], seed=year)
        profile = signals(view, pool[VIEW : VIEW + PROFILE])
        stream = signals(view, pool[VIEW + PROFILE : VIEW + PROFILE + PER_DAY * DAYS])
        outside = signals(view, strange)
        rng = np.random.default_rng(year)
        false_alarms += alarm(profile, stream, level, rng) is not None
        for (share, quiet), found in delays.items():
            begun = quiet * PER_DAY
            mixed = with_strange(stream, outside, share, begun, rng)
            found.append(alarm(profile, mixed, level, rng, begun))
        print(f"year {year + 1}: {false_alarms} false alarms so far", flush=True)
    print(f"\n{false_alarms} false alarms in {arguments.years} quiet years of {DAYS} days; stated: at most {level:.1%}")
    for (share, quiet), found in delays.items():
        noticed = sorted(delay for delay in found if delay is not None)
        middle = noticed[len(noticed) // 2] if noticed else None
        worst = noticed[-1] if noticed else None
        print(f"{share:.0%} out of scope after {quiet} quiet days:", end=" ")
        print(f"noticed within {AFTERWARDS} requests in {len(noticed)} of {len(found)} years,", end=" ")
        print(f"median {middle}, slowest {worst}")


def dislikes(years: int) -> None:
    """Whether dislikes that are just tolerated raise an alarm, and after how many judged answers others do."""
    rng, count = np.random.default_rng(0), PER_DAY * DAYS
    level = PROFILE_PART * MonitoringSettings().false_alarm_share

    def judged_until_alarm(share: float) -> int | None:
        is_judged = rng.random(count) < JUDGED_SHARE
        live = np.where(is_judged, rng.random(count) < share, np.nan)
        days = [place // PER_DAY for place in range(count)]
        capital = evidence({}, {"disliked": live}, days, rng, {"disliked": TOLERATED}).total
        reached = np.flatnonzero((capital + OTHERS) / (1 + OTHERS) >= 1 / level)
        return int(is_judged[: reached[0] + 1].sum()) if len(reached) else None

    alarms = sum(judged_until_alarm(TOLERATED) is not None for _ in range(years))
    print(f"{alarms} false alarms in {years} years of {DAYS} days in which the tolerated {TOLERATED:.0%} are disliked")
    for share in DISLIKED:
        found = sorted(after for after in (judged_until_alarm(share) for _ in range(years)) if after is not None)
        print(f"{share:.0%} disliked from the first day: noticed in {len(found)} of {years} years,", end=" ")
        print(f"after {found[len(found) // 2]} judged answers, at the latest {found[-1]}" if found else "never")


def read(folder: Path, names: tuple[str, ...]) -> list[str]:
    """The questions of these files."""
    texts = []
    for name in names:
        raw = (folder / name).read_bytes()
        lines = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode().split("\n")
        texts += [json.loads(line)["text"] for line in lines if line]
    return texts


def signals(view: View, texts: list[str]) -> Signals:
    """What is watched of questions without answers."""
    return view.signals([Seen(text) for text in texts])


def with_strange(stream: Signals, outside: Signals, share: float, begun: int, rng: np.random.Generator) -> Signals:
    """The stream of which from one moment on a share is out of scope."""
    length = begun + AFTERWARDS
    is_strange = (np.arange(length) >= begun) & (rng.random(length) < share)
    drawn = rng.integers(0, len(outside["topics"]), length)
    return {name: np.where(is_strange, outside[name][drawn], figures[:length]) for name, figures in stream.items()}


def alarm(profile: Signals, live: Signals, level: float, rng: np.random.Generator, begun: int = 0) -> int | None:
    """How many requests after the beginning the alarm came; an alarm before it notices nothing."""
    days = [place // PER_DAY for place in range(len(live["topics"]))]
    found = evidence(profile, live, days, rng).first_alarm(level)
    return found - begun if found is not None and found > begun else None


if __name__ == "__main__":
    main()
