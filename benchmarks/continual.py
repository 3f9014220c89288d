"""Four domains learned one after another, and what is left of the earlier ones: naively, with replay, by adapters.

    python -m benchmarks.continual [--data FOLDER] [--examples 250] [--work FOLDER] [--json PATH]

The bundled base learns support (Bitext), legal (CUAD: which kind of clause?), medical (MeQSum: the question in one
line) and docs (tldr-pages: the command for a task), each from so many examples, and is asked all four domains' test
questions after each. `naive` trains one model further and further; `replay` does so with half of each batch from the
earlier domains; `adapters` trains one adapter a domain from the base and answers each question with its domain's (the
domain is given, not guessed). The figure is the share of the reference answer's tokens that were the model's first
choice.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sonneteer import lifecycle, opening
from sonneteer.chat import Chat, LogProbs
from sonneteer.progress import Silent
from sonneteer.recipe import LoadedRecipe, read_recipe
from sonneteer.records import Example, Message
from sonneteer.store import Store

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"
DOMAINS = ("support", "legal", "medical", "docs")
STRATEGIES = ("naive", "replay", "adapters")
LONGEST, TESTED, VALIDATED = 400, 60, 20
REPLAY_SHARE = 0.5
RECIPE = """
name: {name}
data: {{sources: [{sources}], clean: {{near_duplicates: "off"}}}}
base: {{model: "{base}"}}
training: {{learning_rate: 3e-3, epochs: 2, batch_size: 8, replay_share: {replay_share}}}
"""
Rows = list[tuple[str, str]]
Matrix = list[list[float]]
"""Accuracy after each domain (rows) on each domain (columns)."""


class Domain(NamedTuple):
    """Questions with answers, by side."""

    train: Rows
    validation: Rows
    test: Rows


def main() -> None:
    """Learn, ask and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--examples", type=int, default=250)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not options.data.exists():
        raise SystemExit(f"continual: skipped, there is no {options.data}; name the folder with --data.")
    domains = {name: dealt(list(ROWS[name](options.data)), options.examples) for name in DOMAINS}
    with tempfile.TemporaryDirectory() as folder:
        found = measured(domains, options.work or Path(folder))
    for name, matrix in found.items():
        print("\n".join(told(name, matrix)), flush=True)
    if options.json:
        options.json.write_text(json.dumps({name: {"accuracy": each, **figures(each)} for name, each in found.items()}))


def measured(domains: Mapping[str, Domain], work: Path) -> dict[str, Matrix]:
    """The matrix of each strategy."""
    school = School(work, domains)
    found = {}
    for strategy in STRATEGIES:
        rows = [school.asked(school.learned(strategy, step)) for step in range(len(DOMAINS))]
        if strategy == "adapters":  # each question goes to its domain's adapter, once there is one
            rows = [[rows[min(step, place)][place] for place in range(len(DOMAINS))] for step in range(len(DOMAINS))]
        found[strategy] = rows
        print(f"{strategy}: done", flush=True)
    return {"base": [school.asked(school.base())]} | found


class School:
    """Trains, and asks what was learned."""

    def __init__(self, work: Path, domains: Mapping[str, Domain]) -> None:
        self._work = work
        self._domains = domains
        self._store = Store(work / "workspace")
        for name, domain in domains.items():
            for side, rows in domain._asdict().items():
                lines = [json.dumps({"prompt": question, "completion": answer}) for question, answer in rows]
                (work / f"{name}-{side}.jsonl").write_text("\n".join(lines) + "\n")

    def base(self) -> Chat:
        """Before anything was learned."""
        return lifecycle.open_chat(self._recipe("adapters", 0), self._store, "base")

    def learned(self, strategy: str, step: int) -> Chat:
        """The model after so many domains."""
        loaded = self._recipe(strategy, step)
        model = lifecycle.train(loaded, self._store, Silent())
        merged = self._merged(strategy, step)
        if strategy != "adapters" and not merged.exists():
            opening.write_merged(loaded, self._store, model, merged)
        return opening.open_version(loaded, self._store, model)

    def asked(self, chat: Chat) -> list[float]:
        """Accuracy on each domain."""
        assert isinstance(chat, LogProbs)
        found = []
        for domain in self._domains.values():
            each = chat.likelihoods([_example(question, answer) for question, answer in domain.test])
            found.append(sum(one.right_tokens for one in each) / sum(one.tokens for one in each))
        return found

    def _recipe(self, strategy: str, step: int) -> LoadedRecipe:
        is_first = step == 0 or strategy == "adapters"
        sides = [(DOMAINS[step], side, side) for side in ("train", "validation", "test")]
        if strategy == "replay":
            sides += [(earlier, "train", "replay") for earlier in DOMAINS[:step]]
        sources = ", ".join(f"{{path: {name}-{side}.jsonl, split: {as_side}}}" for name, side, as_side in sides)
        path = self._work / f"{strategy}-{step}.yaml"
        path.write_text(
            RECIPE.format(
                name=f"first-{step}" if is_first else f"{strategy}-{step}",  # what is the same is trained once
                sources=sources,
                base="couplet" if is_first else self._merged(strategy, step - 1),
                replay_share=REPLAY_SHARE if strategy == "replay" and step else 0.0,
            )
        )
        return read_recipe(path)

    def _merged(self, strategy: str, step: int) -> Path:
        return self._work / "merged" / f"{strategy}-{step}"


def dealt(rows: Rows, examples: int) -> Domain:
    """So many short rows with different questions, by chance."""
    short = {question: answer for question, answer in rows if len(question) + len(answer) <= LONGEST}
    drawn = random.Random(0).sample(sorted(short.items()), examples + TESTED + VALIDATED)
    return Domain(drawn[TESTED + VALIDATED :], drawn[TESTED : TESTED + VALIDATED], drawn[:TESTED])


def figures(matrix: Matrix) -> dict[str, float]:
    """Mean accuracy in the end; backward transfer and forgetting (Lopez-Paz & Ranzato 2017, Chaudhry et al. 2018)."""
    last, earlier = matrix[-1], range(len(matrix) - 1)
    if not earlier:
        return {"mean": sum(last) / len(last)}
    return {
        "mean": sum(last) / len(last),
        "backward transfer": sum(last[place] - matrix[place][place] for place in earlier) / len(earlier),
        "forgetting": sum(max(row[place] for row in matrix[:-1]) - last[place] for place in earlier) / len(earlier),
    }


def told(name: str, matrix: Matrix) -> Iterator[str]:
    """A table in Markdown."""
    yield f"\n| {name} | {' | '.join(DOMAINS)} |"
    yield "|---" * (len(DOMAINS) + 1) + "|"
    for step, row in enumerate(matrix):
        yield f"| {'after ' + DOMAINS[step] if len(matrix) > 1 else ''} | {' | '.join(f'{each:.1%}' for each in row)} |"
    yield ", ".join(f"{figure} {value:+.1%}" for figure, value in figures(matrix).items())


def _example(question: str, answer: str) -> Example:
    return Example(messages=(Message(role="user", text=question), Message(role="assistant", text=answer)))


def _lines(path: Path) -> list[dict[str, Any]]:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    return [json.loads(line) for line in text.split("\n") if line]


def _support(data: Path) -> Iterator[tuple[str, str]]:
    for row in _lines(data / "customer_service/bitext/bitext_v1_canned.jsonl.gz"):
        yield row["instruction"], row["response"]


def _legal(data: Path) -> Iterator[tuple[str, str]]:
    for row in _lines(data / "legal/cuad/clauses.jsonl.gz"):
        yield f"Which kind of clause is this? {row['clause']}", f"This is a clause on: {row['category']}."


def _medical(data: Path) -> Iterator[tuple[str, str]]:
    for row in _lines(data / "medical/meqsum/meqsum.jsonl"):
        yield f"Summarise in one question: {row['question']}", row["summary"]


def _docs(data: Path) -> Iterator[tuple[str, str]]:
    for page in _lines(data / "content_general/tldr_pages/tldr_en.jsonl.gz"):
        for example in page["examples"]:
            yield f"With {page['command']}: {example['do']}", example["command"]


ROWS = {"support": _support, "legal": _legal, "medical": _medical, "docs": _docs}

if __name__ == "__main__":
    main()
