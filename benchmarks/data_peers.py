"""The libraries of the plain chain, each called as its users call it, in the environment in which they are installed.

    PYTHON benchmarks/data_peers.py presidio|datasketch|text-dedup|data-juicer < texts.json

Reads a list of texts, and writes processor seconds and for each text whether something was found: personal data, or
another text that says nearly the same and is kept instead.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import tempfile
from collections.abc import Callable
from typing import Any

THRESHOLD, PERMUTATIONS, WORDS_IN_SEQUENCE = 0.8, 128, 3
WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)

Told = tuple[float, list[bool]]


def presidio(texts: list[str]) -> Told:
    """Without a model, as it can be installed offline; with one it finds names, and is slower."""
    import spacy
    import tldextract
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    class Blank(SpacyNlpEngine):  # type: ignore[misc]
        def load(self) -> None:
            self.nlp = {"en": spacy.blank("en")}

        def is_loaded(self) -> bool:
            return True

    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())
    engine = Blank(models=[{"lang_code": "en", "model_name": "blank"}])
    engine.load()
    analyzer = AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])
    analyzer.analyze(texts[0], "en")
    return timed(lambda: [bool(analyzer.analyze(text, "en", score_threshold=0.35)) for text in texts])


def datasketch(texts: list[str]) -> Told:
    """Its MinHash and LSH over three-word sequences; candidates are not compared exactly."""
    from datasketch import MinHash, MinHashLSH

    def found() -> list[bool]:
        index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
        hits = []
        for place, text in enumerate(texts):
            words = ["", "", *re.findall(r"\w+", text.lower()), ""]
            signature = MinHash(num_perm=PERMUTATIONS)
            parts = zip(words, words[1:], words[2:], strict=False)
            signature.update_batch({" ".join(part).encode() for part in parts})
            hits.append(bool(index.query(signature)))
            index.insert(place, signature)
        return hits

    return timed(found)


def text_dedup(texts: list[str]) -> Told:
    """Its command for MinHash, from a file to a folder, in one process; candidates are not compared exactly."""
    from datasets import load_from_disk
    from text_dedup.minhash import main

    with tempfile.TemporaryDirectory() as folder:
        rows, kept = os.path.join(folder, "rows.jsonl"), os.path.join(folder, "kept")
        with open(rows, "w") as stream:
            stream.writelines(json.dumps({"text": text, "place": place}) + "\n" for place, text in enumerate(texts))
        settings = {"path": "json", "data_files": rows, "split": "train", "column": "text", "output": kept}
        settings |= {"cache_dir": folder, "num_proc": 1, "ngram": WORDS_IN_SEQUENCE, "min_length": 0}
        settings |= {"num_perm": PERMUTATIONS, "threshold": THRESHOLD}
        words = [part for name, value in settings.items() for part in (f"--{name}", str(value))]

        def found() -> list[bool]:
            main(words, standalone_mode=False)
            left = set(load_from_disk(kept)["place"])
            return [place not in left for place in range(len(texts))]

        return timed(found)


def data_juicer(texts: list[str]) -> Told:
    """Its operator for MinHash, in one process; candidates are not compared exactly."""
    from data_juicer.core.data import NestedDataset
    from data_juicer.ops.deduplicator.document_minhash_deduplicator import DocumentMinhashDeduplicator

    operator = DocumentMinhashDeduplicator(
        window_size=WORDS_IN_SEQUENCE, num_permutations=PERMUTATIONS, jaccard_threshold=THRESHOLD
    )
    rows = NestedDataset.from_list([{"text": text, "place": place} for place, text in enumerate(texts)])

    def found() -> list[bool]:
        kept, _ = operator.process(rows.map(operator.compute_hash, load_from_cache_file=False))
        left = set(kept["place"])
        return [place not in left for place in range(len(texts))]

    return timed(found)


def timed(work: Callable[[], list[bool]]) -> Told:
    """What was found, and the processor seconds of this process and those that it started."""
    before = spent()
    found = work()
    return spent() - before, found


def spent() -> float:
    """Processor seconds so far."""
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, WHO))


PEERS: dict[str, Callable[[list[str]], Any]] = {
    "presidio": presidio,
    "datasketch": datasketch,
    "text-dedup": text_dedup,
    "data-juicer": data_juicer,
}

if __name__ == "__main__":
    print("\n" + json.dumps(PEERS[sys.argv[1]](json.load(sys.stdin))))
