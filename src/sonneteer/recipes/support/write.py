"""Write the support example: `python -m sonneteer.recipes.support.write` makes the same file, byte for byte.

Every conversation is put together from phrases that were written by hand (voice.toml and topics.toml). A handful of
rows is broken on purpose, so that the first data set of a new user has something in its ledger: see README.md.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sonneteer.recipes.support.chance import shuffled
from sonneteer.recipes.support.dialogues import Author, Conversation, Turn
from sonneteer.recipes.support.phrases import FOLDER, Dirt, read_topics, read_voice

SEED = 1609
DUPLICATES = {97: 12, 188: 61, 251: 250, 340: 133, 467: 208}
"""Line of the copy, and the line that it copies."""
UNANSWERED, BROKEN, UNKNOWN_ROLE, TOO_LONG, EMPTY = 73, 158, 226, 305, 412
"""Lines of the rows that are spoiled in other ways."""
EMAIL_FROM = 375
"""The first conversation with a single question from here on gets an e-mail address."""


class Row(NamedTuple):
    """A conversation with everything that its line of JSON says."""

    number: int
    person: str
    talk: Conversation

    def line(self) -> str:
        """The row in the shape of OpenAI's chat files, with our tags."""
        tags = {
            "topic": self.talk.topic,
            "group": self.talk.group,
            "person": self.person,
            "conversation": f"conversation-{self.number:04}",
        }
        return json.dumps({"messages": [turn._asdict() for turn in self.talk.turns], "tags": tags})

    def with_turns(self, *turns: Turn) -> Row:
        """The same row with other messages."""
        return self._replace(talk=self.talk._replace(turns=turns))


def main() -> None:
    """Write the file anew and say how long it is."""
    written = lines()
    path = FOLDER / "conversations.jsonl"
    path.write_text("".join(line + "\n" for line in written), encoding="utf-8", newline="\n")
    print(f"{path}: {len(written)} lines")


def lines() -> list[str]:
    """Every line of the file, the spoiled ones among them."""
    rng = random.Random(SEED)
    voice, topics = read_voice(), read_topics()
    author = Author(voice, rng)
    clean = shuffled((talk for topic in topics for talk in author.all_about(topic)), rng)
    to_spoil = [author.single(topic) for topic in topics[:5]]
    rows = _signed([*clean, *to_spoil], rng)
    kept, spoiled = rows[: len(clean)], rows[len(clean) :]
    return _with_dirt(_with_email(kept, voice.dirt), _spoil(spoiled, voice.dirt, voice.sign_off, rng))


def _signed(talks: list[Conversation], rng: random.Random) -> list[Row]:
    """A person to each conversation. Some persons write twice, but nobody from the group of new customers."""
    rows: list[Row] = []
    once: dict[str, list[str]] = {"returning": [], "club member": [], "business": []}
    people = 0
    for number, talk in enumerate(talks, start=1):
        known = once.get(talk.group, [])
        if known and rng.random() < 0.15:
            person = known.pop(0)
        else:
            people += 1
            person = f"customer-{people:04}"
            once.get(talk.group, []).append(person)
        rows.append(Row(number, person, talk))
    return rows


def _with_email(rows: list[Row], dirt: Dirt) -> Iterator[str]:
    """The rows as lines. One customer leaves an e-mail address."""
    row = next(row for row in rows[EMAIL_FROM:] if len(row.talk.turns) == 3)
    for other in rows:
        yield (_with_address(row, dirt.email) if other is row else other).line()


def _with_address(row: Row, email: str) -> Row:
    system, question, answer = row.talk.turns
    return row.with_turns(system, question._replace(content=f"{question.content} {email}"), answer)


def _spoil(rows: list[Row], dirt: Dirt, sign_off: str, rng: random.Random) -> dict[int, str]:
    """One row for each kind of dirt but duplicates, by the line where it belongs."""
    unanswered, broken, unknown, long, empty = rows
    ramble = " ".join(" ".join(shuffled(dirt.ramble, rng)) for _ in range(3))
    answer = Turn("assistant", f"Thank you for asking. {ramble}\n{sign_off}")
    return {
        UNANSWERED: unanswered.with_turns(*unanswered.talk.turns[:-1]).line(),
        BROKEN: broken.line()[:-150],
        UNKNOWN_ROLE: unknown.with_turns(
            *unknown.talk.turns[:-1], unknown.talk.turns[-1]._replace(role="supervisor")
        ).line(),
        TOO_LONG: long.with_turns(*long.talk.turns[:-1], answer).line(),
        EMPTY: empty.with_turns(*empty.talk.turns[:-1], Turn("assistant", "")).line(),
    }


def _with_dirt(clean: Iterable[str], spoiled: dict[int, str]) -> list[str]:
    """All lines, with the spoiled ones and the copies where they belong."""
    mixed = list(clean)
    # From the top down, so that no line moves once it is in its place.
    for number in sorted([*spoiled, *DUPLICATES]):
        mixed.insert(number - 1, spoiled[number] if number in spoiled else mixed[DUPLICATES[number] - 1])
    return mixed


if __name__ == "__main__":
    main()
