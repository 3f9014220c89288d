"""The bundled base model against a unigram and a 5-gram model on held-out text, with unedited samples.

    python benchmarks/couplet.py [--data FOLDER] [--json PATH] [--quick]

FOLDER is laid out like the public data that couplet was trained on (see src/sonneteer/recipes/couplet/collect.py); by
default the folder shared/data beside the checkout. The n-grams learn from all training text, couplet saw a part of it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import platform
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ngrams import NGrams

from sonneteer.chat import Options
from sonneteer.models.generate import LocalChat
from sonneteer.models.load import LanguageModel, open_model
from sonneteer.models.logprobs import forests, predict
from sonneteer.models.render import TemplateRenderer
from sonneteer.recipes.couplet.collect import collect
from sonneteer.records import Example, Message, Prompt, Rendered

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
ASKED = ("Hello!", "How are you today?", "What is photosynthesis?", "Do you like music?", "Who are you?", "Thank you!")


def main() -> None:
    """Print the table and the samples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="a tenth of the training text for the n-grams")
    options = parser.parse_args()
    if not options.data.exists():
        sys.exit(f"couplet: skipped, there is no data in {options.data}; name its folder with --data.")
    with tempfile.TemporaryDirectory() as folder:
        collect(options.data, Path(folder))
        rows = table(Path(folder), options.data, options.quick)
    print(
        f"{'text':22}{'system':12}{'perplexity':>12}{'bits/char':>12}   on {platform.processor() or platform.machine()}"
    )
    for row in rows:
        print(f"{row['workload']:22}{row['system']:12}{row['perplexity']:12.1f}{row['bits_per_character']:12.3f}")
    for asked, answer in samples():
        print(f"\n> {asked}\n{answer}")
    if options.json:
        options.json.write_text("".join(json.dumps(line) + "\n" for line in as_lines(rows)))


def table(folder: Path, data: Path, quick: bool) -> list[dict[str, float | str]]:
    """Perplexity per token and bits per character of the three models on the three texts."""
    model = open_model("couplet", folder)
    renderer = TemplateRenderer(model.tokenizer, 512, learns_prompts=True)
    training = [
        s for name in ("text.jsonl", "chat.jsonl") for s in sequences(folder / name, renderer, 10 if quick else 1)
    ]
    stream = np.concatenate([np.array(sequence.ids) for sequence in training])
    systems = {f"{n}-gram": NGrams(stream, n, len(model.tokenizer)) for n in (1, 5)}
    texts = {
        "held-out text": list(sequences(folder / "heldout_text.jsonl", renderer)),
        "held-out chat": list(sequences(folder / "heldout_chat.jsonl", renderer)),
        "wikitext2 test": list(wikitext(data, renderer)),
    }
    rows = []
    for name, parts in texts.items():
        characters = sum(len(model.tokenizer.decode(part.ids, skip_special_tokens=True)) for part in parts)
        tokens = sum(len(part.ids) - 1 for part in parts)
        nats = {"couplet": couplet_nats(model, parts)}
        nats |= {
            system: -sum(ngrams.log_probs(np.array(p.ids)).sum() for p in parts) for system, ngrams in systems.items()
        }
        for system, total in nats.items():
            figures = {"perplexity": math.exp(total / tokens), "bits_per_character": total / characters / math.log(2)}
            rows.append({"workload": name, "system": system, **figures})
    return rows


def sequences(path: Path, renderer: TemplateRenderer, every: int = 1) -> Iterator[Rendered]:
    """The rows of a collected file as token ids."""
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")):
        if line and number % every == 0:
            row = json.loads(line)
            if "text" in row:
                example = Example(messages=(Message(role="assistant", text=row["text"]),), is_text=True)
            else:
                turns = (Message(role=turn["role"], text=turn["content"]) for turn in row["messages"])
                example = Example(messages=tuple(turns))
            yield from renderer.render(example)


def wikitext(data: Path, renderer: TemplateRenderer) -> Iterator[Rendered]:
    """The test part of WikiText-2 in windows."""
    path = data / "pretrain/wikitext2_heldout/test.txt.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    yield from renderer.render(Example(messages=(Message(role="assistant", text=text),), is_text=True))


def couplet_nats(model: LanguageModel, parts: list[Rendered]) -> float:
    """Sum of -log p over all tokens but the first of each part."""
    return -sum(
        float(predict(model.network, f).log_probs_M.double().sum()) for _, f in forests(parts, 4096, model.device)
    )


def samples() -> Iterator[tuple[str, str]]:
    """What couplet says, unedited: the likeliest words, and one draw."""
    chat = LocalChat(open_model("couplet", Path(".")))
    prompts = [Prompt(messages=(Message(role="user", text=asked),)) for asked in ASKED]
    drawn = Options(max_tokens=60, temperature=0.7, top_p=0.9, seed=random.Random(0).randrange(1000))
    for options in (Options(max_tokens=60), drawn):
        for asked, answer in zip(ASKED, chat.answer(prompts, options), strict=True):
            yield asked, answer.text


def as_lines(rows: list[dict[str, float | str]]) -> Iterator[dict[str, float | str]]:
    """One line a figure."""
    for row in rows:
        for metric, unit in (("perplexity", "1"), ("bits_per_character", "bit")):
            head = {"workload": row["workload"], "system": row["system"]}
            yield {**head, "metric": metric, "value": row[metric], "unit": unit}


if __name__ == "__main__":
    main()
