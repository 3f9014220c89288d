"""Gather the freely licensed text that couplet is trained on, from a folder of public data, as rows to prepare.

    python -m sonneteer.recipes.couplet.collect DATA_FOLDER OUTPUT_FOLDER

Writes `text.jsonl` (plain text) and `chat.jsonl` (conversations), and `heldout_text.jsonl` and `heldout_chat.jsonl`
with every fiftieth document, chosen by a hash of its name, which training never sees. Share-alike sources are left
out, so that the weights can be given away freely.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sonneteer.recipes.couplet.manners import exchanges

PASSAGE = 1200  # characters, about 300 tokens
QUOTES = str.maketrans({"“": '"', "”": '"', "’": "'", "‘": "'", "–": "-", "—": "-", "\u00a0": " ", "\u200b": ""})
MARKUP = re.compile(r"[_*#|<>{}\[\]\\…]|https?:|\w{25,}")
SENTENCE_END = re.compile(r'(?<=[.!?])["\')]?\s+')
SYSTEM = (
    "You are a friendly assistant.",
    "You are a helpful assistant. Answer briefly.",
    "You like to talk with people. Be kind.",
    "Keep your answers short and clear.",
    "You are Couplet, a small language model.",
    "Answer the user's questions in plain words.",
)


class Row(NamedTuple):
    """A document on its way into a file: what it belongs to, and its content."""

    source: str
    document: str
    content: dict[str, Any]


def collect(data: Path, target: Path, seed: int = 0) -> Counter[tuple[str, str]]:
    """Write the four files; returns characters by file and source."""
    rng = random.Random(seed)
    target.mkdir(parents=True, exist_ok=True)
    sizes: Counter[tuple[str, str]] = Counter()
    for kind, rows in (("text", texts(data, rng)), ("chat", chats(data, rng))):
        files: dict[str, list[str]] = {f"{kind}.jsonl": [], f"heldout_{kind}.jsonl": []}
        for row in rows:
            name = f"heldout_{kind}.jsonl" if is_held_out(row.document) else f"{kind}.jsonl"
            tags = {"source": row.source, "document": row.document}
            line = json.dumps({**row.content, "tags": tags}, ensure_ascii=False)
            files[name].append(line + "\n")
            sizes[name, row.source] += len(line)
        for name, lines in files.items():
            rng.shuffle(lines)
            (target / name).write_text("".join(lines), encoding="utf-8")
    return sizes


def is_held_out(document: str) -> bool:
    """Two of a hundred documents, the same ones each time."""
    return int(hashlib.sha256(document.encode()).hexdigest()[:8], 16) % 50 == 0


# Plain text ------------------------------------------------------------------------------------


def texts(data: Path, rng: random.Random) -> Iterator[Row]:
    """Passages that end where a sentence ends."""
    stories = data / "pretrain/african_storybook/stories_en.jsonl"
    for row in _rows(stories):
        yield from _passages("african_storybook", row["title"], row["text"])
    yield from _sentences(data, rng)
    for shard in ("business", "health_science", "humanities", "law_government", "science_math"):
        sections = [
            (f"{row['book']}: {row['title']}", row["text"])
            for row in _rows(data / f"pretrain/openstax/{shard}.jsonl.xz")
        ]
        yield from _simplest("openstax", sections, 2_200_000, rng)
    chapters = [
        (f"{row['title']}: {row['chapter']}", row["text"])
        for row in _rows(data / "pretrain/classics/classics_00.jsonl.xz")
    ]
    yield from _simplest("classics", chapters, 5_000_000, rng)


def _sentences(data: Path, rng: random.Random) -> Iterator[Row]:
    with gzip.open(data / "pretrain/common_voice_sentences/sentences_en.txt.gz", "rt", encoding="utf-8") as stream:
        sentences = [line.strip().translate(QUOTES) for line in stream if line.strip() and not MARKUP.search(line)]
    rng.shuffle(sentences)
    for start in range(0, len(sentences), 12):
        text = " ".join(sentences[start : start + 12])
        yield Row("common_voice_sentences", f"common voice {start}", {"text": text})


def _simplest(source: str, documents: list[tuple[str, str]], characters: int, rng: random.Random) -> Iterator[Row]:
    """The passages with the shortest sentences and words, up to so many characters."""
    rows = [row for name, text in documents for row in _passages(source, name, text)]
    rows.sort(key=lambda row: _difficulty(row.content["text"]))
    taken = 0
    for row in rows:
        taken += len(row.content["text"])
        if taken > characters:
            return
        yield row


def _difficulty(text: str) -> float:
    words = text.split()
    sentences = max(1, len(SENTENCE_END.findall(text)) + 1)
    return len(words) / sentences + 20 * sum(len(word) > 9 for word in words) / max(1, len(words))


def _passages(source: str, document: str, text: str) -> Iterator[Row]:
    passage = ""
    for paragraph in re.split(r"\s*\n\s*\n\s*", text):
        for sentence in SENTENCE_END.split(" ".join(paragraph.translate(QUOTES).split())):
            if MARKUP.search(sentence) or not sentence.isascii():
                continue
            passage += sentence + " "
            if len(passage) >= PASSAGE:
                yield Row(source, document, {"text": passage.strip()})
                passage = ""
        passage = passage.rstrip(" ") + ("\n\n" if passage.strip() else "")
    if len(passage) >= 200:
        yield Row(source, document, {"text": passage.strip()})


# Conversations ---------------------------------------------------------------------------------


def chats(data: Path, rng: random.Random) -> Iterator[Row]:
    """Conversations that begin with the user and end with the assistant."""
    for number, row in enumerate(_rows(data / "content_general/self_dialogues/self_dialogues.jsonl.gz")):
        yield from _windows("self_dialogues", f"self dialogue {number}", row["turns"], rng)
    for name in ("valid", "test"):
        for number, row in enumerate(_rows(data / f"content_general/synthetic_persona_chat/{name}.jsonl.gz")):
            turns = re.split(r"\n?User [12]: ", row["Best Generated Conversation"])[1:]
            yield from _windows("synthetic_persona_chat", f"persona {name} {number}", turns, rng)
    for row in _rows(data / "customer_service/taskmaster4_coffee/dialogs.jsonl.gz"):
        yield from _taskmaster(row, rng)
    yield from _glossary(data, rng)
    for number, (system, turns) in enumerate(exchanges(rng)):
        head = [{"role": "system", "content": system}] if system else []
        yield Row("manners", f"manners {number}", {"messages": head + _alternating(turns)})


def _windows(source: str, document: str, turns: list[str], rng: random.Random) -> Iterator[Row]:
    turns = [_as_written(turn) for turn in turns]
    if any(MARKUP.search(turn) or not turn.isascii() or not turn for turn in turns):
        return
    for start in range(0, len(turns) - 1, 8):
        window = turns[start : start + 8]
        window = window[: len(window) // 2 * 2]
        if window:
            yield Row(source, document, {"messages": _system(rng) + _alternating(window)})


def _as_written(turn: str) -> str:
    """White space in order, and a capital at the beginning: many people chat in lower case."""
    turn = " ".join(turn.translate(QUOTES).split())
    turn = re.sub(r"\bi\b", "I", turn)
    return turn[:1].upper() + turn[1:]


def _alternating(turns: Iterable[str]) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(turns)]


def _system(rng: random.Random) -> list[dict[str, str]]:
    return [{"role": "system", "content": rng.choice(SYSTEM)}] if rng.random() < 0.4 else []


def _taskmaster(row: dict[str, Any], rng: random.Random) -> Iterator[Row]:
    turns = [(turn["role"], _as_written(turn["text"])) for turn in row["turns"]]
    while turns and turns[-1][0] != "assistant":
        turns.pop()
    if len(turns) >= 2 and all(text.isascii() and not MARKUP.search(text) for _, text in turns):
        messages = [{"role": role, "content": text} for role, text in turns]
        yield Row("taskmaster4_coffee", row["id"], {"messages": _system(rng) + messages})


def _glossary(data: Path, rng: random.Random) -> Iterator[Row]:
    questions = ("What is {}?", "What does {} mean?", "Please explain {}.", "Define {}.", "Can you tell me what {} is?")
    for row in _rows(data / "content_general/openstax_glossary/glossary.jsonl.gz"):
        definition = _as_written(row["definition"]).rstrip(".") + "."
        if definition.isascii() and not MARKUP.search(definition) and 30 < len(definition) < 200:
            turns = [rng.choice(questions).format(row["term"]), definition]
            content = {"messages": _system(rng) + _alternating(turns)}
            yield Row("openstax_glossary", f"{row['book']}: {row['term']}", content)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    content = path.read_bytes()
    content = {".gz": gzip.decompress, ".xz": lzma.decompress}.get(path.suffix, bytes)(content)
    yield from (json.loads(line) for line in content.split(b"\n") if line.strip())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: python -m {__spec__.name} DATA_FOLDER OUTPUT_FOLDER")
    for (file, source), size in sorted(collect(Path(sys.argv[1]), Path(sys.argv[2])).items()):
        print(f"{file:22} {source:26} {size / 1e6:8.2f} MB")
