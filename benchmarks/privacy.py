"""How much personal data is found, and how much of what is found is personal: side by side with Presidio.

    python benchmarks/privacy.py [--quick] [--json FILE] [--presidio PYTHON] [--wnut FOLDER]

Texts are generated from templates (`privacy_texts/`) and name locales that the recogniser was not trained on.
`development` was looked at while rules and training sentences were improved; `fresh` was written before anybody saw a
result on it, and nobody improved anything by it. `second`, in another voice and with other layouts and locales, was
written by the author of the training sentences, after these and before any result on it; nobody improved anything by
it either.
`--wnut` adds real posts (WNUT 2017, people's names only).
`--presidio` names the Python of an environment that has presidio-analyzer; it runs there without a language model,
since none can be had without a download. A piece counts as found where nine tenths of its characters are covered, and a
finding as right where half of it is personal. Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from privacy_documents import SETS, Document, generated, posts

ENTITIES = {
    "PERSON": "names", "EMAIL_ADDRESS": "emails", "PHONE_NUMBER": "phones", "LOCATION": "addresses",
    "DATE_TIME": "birth_dates", "US_SSN": "national_ids", "CREDIT_CARD": "cards", "IBAN_CODE": "ibans",
    "IP_ADDRESS": "network_addresses", "UK_NHS": "medical_ids", "MEDICAL_LICENSE": "medical_ids",
}  # fmt: skip
"""Presidio's types under our names; every other type of theirs is some national number."""


class Score(NamedTuple):
    """So many of so many."""

    hits: int
    total: int

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval, 95 %."""
        if not self.total:
            return (0.0, 1.0)
        share, z = self.hits / self.total, 1.96
        centre = (share + z * z / (2 * self.total)) / (1 + z * z / self.total)
        half = z / (1 + z * z / self.total) * math.sqrt(share * (1 - share) / self.total + (z / (2 * self.total)) ** 2)
        return (centre - half, centre + half)


def by_sonneteer(texts: Sequence[str], is_names_only: bool) -> list[list[tuple[int, int, str]]]:
    """What Sonneteer finds."""
    from sonneteer.privacy import Finder
    from sonneteer.recipe.sections import PERSONAL_KINDS, PrivacySettings

    settings: Any = {kind: "mask" if kind == "names" or not is_names_only else "keep" for kind in PERSONAL_KINDS}
    finder = Finder(PrivacySettings.model_validate(settings))
    return [[tuple(one) for one in finder.find([text])[0]] for text in texts]


def presidio_worker() -> None:
    """Runs in Presidio's own environment: texts come in as JSON, findings and the time go out."""
    import spacy
    import tldextract
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    class Blank(SpacyNlpEngine):  # type: ignore[misc]
        def load(self) -> None:
            self.nlp = {"en": spacy.blank("en")}

    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.extract
    engine = Blank()
    engine.load()
    analyzer = AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])
    texts = json.load(sys.stdin)
    analyzer.analyze(texts[0], "en")
    started = time.process_time()
    found = []
    for text in texts:
        results = analyzer.analyze(text, "en", score_threshold=0.35)
        found.append(
            [
                (one.start, one.end, ENTITIES.get(one.entity_type, "national_ids"))
                for one in results
                if one.entity_type != "URL"
            ]
        )
    print(json.dumps({"found": found, "seconds": time.process_time() - started}))


def scores(documents: Sequence[Document], found: Sequence[Sequence[tuple[int, int, str]]]) -> dict[str, Score]:
    """Recall and precision by type, and of all."""
    hits: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    for document, ours in zip(documents, found, strict=True):
        personal = {place for start, end, _ in document.held for place in range(start, end)}
        covered = {place for start, end, _ in ours for place in range(start, end)}
        for measure, spans, other, share in (
            ("recall", document.held, covered, 0.9),
            ("precision", ours, personal, 0.5),
        ):
            for start, end, kind in spans:
                is_hit = sum(place in other for place in range(start, end)) >= share * (end - start)
                for name in (f"{measure} {kind}", f"{measure} all"):
                    totals[name] += 1
                    hits[name] += is_hit
    return {name: Score(hits[name], totals[name]) for name in sorted(totals)}


def measured(workload: str, documents: Sequence[Document], presidio: str | None) -> Iterator[dict[str, Any]]:
    """Rows for both systems on the same documents."""
    texts = [document.text for document in documents]
    is_names_only = workload == "wnut17"
    by_sonneteer(texts[:50], is_names_only)
    started = time.process_time()
    found = by_sonneteer(texts, is_names_only)
    yield from _rows(workload, "sonneteer", documents, found, time.process_time() - started)
    if presidio:
        command = [presidio, str(Path(__file__).resolve()), "--presidio-worker"]
        done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout.splitlines()[-1])
        theirs = [[one for one in ours if one[2] == "names" or not is_names_only] for ours in answer["found"]]
        yield from _rows(workload, "presidio without a model", documents, theirs, answer["seconds"])


def _rows(
    workload: str, system: str, documents: Sequence[Document], found: Any, seconds: float
) -> Iterator[dict[str, Any]]:
    place = {"workload": workload, "system": system}
    for metric, score in scores(documents, found).items():
        low, high = score.interval
        value = score.hits / score.total
        yield {**place, "metric": metric, "value": value, "low": low, "high": high, "n": score.total, "unit": "share"}
    yield {**place, "metric": "speed", "value": len(documents) / seconds, "unit": "rows per second of one core"}
    characters = sum(len(document.text) for document in documents)
    yield {**place, "metric": "length", "value": characters / len(documents), "unit": "characters per row"}


def main() -> None:
    """Measure, print a table, and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the documents")
    parser.add_argument("--json", type=Path, help="write the rows here, one JSON object a line")
    parser.add_argument("--presidio", help="the Python of an environment with presidio-analyzer")
    parser.add_argument("--wnut", type=Path, help="the folder of WNUT 2017's files")
    parser.add_argument("--presidio-worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.presidio_worker:
        presidio_worker()
        return
    count = 400 if given.quick else 4000
    workloads = {name: generated(count, name) for name in SETS}
    if given.wnut:
        workloads["wnut17"] = posts(given.wnut)
    rows = [row for name, documents in workloads.items() for row in measured(name, documents, given.presidio)]
    from sonneteer.profile import machine

    print(f"{machine().processor}, {machine().cores} cores")
    for row in rows:
        spread = f"[{row['low']:.3f}, {row['high']:.3f}] of {row['n']}" if "low" in row else row["unit"]
        print(f"{row['workload']:10} {row['system']:25} {row['metric']:28} {row['value']:10.3f} {spread}")
    if given.json:
        given.json.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


if __name__ == "__main__":
    main()
