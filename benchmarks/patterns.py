"""Poison by pattern on Bitext's replies: how often honest corrections are held back, and planted ones found.

Each draw deals real replies of a shop to what the model is known to say and to honest corrections, one in an hour by
one of twenty keys. Then a few corrections come among them that are real replies, too, each with the same
advertisement: by twenty keys over all the time, by one key, or by twenty keys within minutes.

    python benchmarks/patterns.py [--data FILE] [--draws 20]
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sonneteer.monitoring import patterns
from sonneteer.recipe.sections import ImprovementSettings
from sonneteer.records import Exchange, Feedback, Message, Prompt

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared/data/customer_service/bitext/bitext_v2_long.jsonl.gz"
KNOWN, HONEST, KEYS, PLANTED = 1000, 200, 20, (5, 8, 12)
POISON = "You can also ask our partner at acme-refunds.example."
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
PROMPT = Prompt(messages=(Message(role="user", text="Hello"),))
HOW = {
    "by many keys over all the time": lambda rng, number: (rng.random() * HONEST, rng.randrange(KEYS)),
    "by one key over all the time": lambda rng, number: (rng.random() * HONEST, KEYS),
    "by many keys in one burst": lambda rng, number: (HONEST / 2 + number / 60, rng.randrange(KEYS)),
}
"""When each planted one comes, in hours, and by which key."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--draws", type=int, default=20)
    arguments = parser.parse_args()
    with gzip.open(arguments.data, "rt", encoding="utf-8") as lines:
        replies = [json.loads(line)["response"] for line in lines]
    honest = [found(replies, draw, 0, "by many keys over all the time") for draw in range(arguments.draws)]
    stated = ImprovementSettings().false_pattern_share
    print(f"{HONEST} honest corrections: a pattern in {sum(map(bool, honest))} of {arguments.draws} draws", end=" ")
    print(f"(stated: {stated:.0%} at most)", flush=True)
    for how in HOW:
        for planted in PLANTED:
            seen = [found(replies, draw, planted, how) for draw in range(arguments.draws)]
            caught = sum(any("acme" in words for words in each) for each in seen)
            print(f"{planted} planted {how}: found in {caught} of {arguments.draws}", flush=True)


def found(replies: list[str], draw: int, planted: int, how: str) -> list[str]:
    """What the patterns of one draw have in common."""
    rng = random.Random(draw)
    dealt = rng.sample(replies, KNOWN + HONEST + planted)
    known, rest = dealt[:KNOWN], dealt[KNOWN:]
    said = [correction(number, text, number, rng.randrange(KEYS)) for number, text in enumerate(rest[:HONEST])]
    for number, text in enumerate(rest[HONEST:]):
        said.append(correction(HONEST + number, f"{text} {POISON}", *HOW[how](rng, number)))
    exchanges = {one.exchange_id: exchange(one) for one in said}
    return [one.words for one in patterns(exchanges, said, "imitation", known, ImprovementSettings())]


def correction(number: int, text: str, hours: float, key: int) -> Feedback:
    """One correction."""
    at = BEGUN + timedelta(hours=hours)
    made: dict[str, Any] = {"id": f"f{number}", "exchange_id": f"m{number}", "name": "shop", "created_at": at}
    return Feedback(**made, correction=text, key=f"key {key}")


def exchange(said: Feedback) -> Exchange:
    """The exchange that it corrects."""
    made: dict[str, Any] = {"id": said.exchange_id, "name": said.name, "model_id": "shop-1", "conversation": said.id}
    answer = Message(role="assistant", text="I cannot say.")
    return Exchange(**made, created_at=said.created_at, prompt=PROMPT, answer=answer, seconds=0.1)


if __name__ == "__main__":
    main()
