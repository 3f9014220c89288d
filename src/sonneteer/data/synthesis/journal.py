"""What a teacher has replied: each reply is written down as it comes, so that nothing is asked, or paid, twice."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from sonneteer.store import write_whole


class Reply(NamedTuple):
    """What a teacher said to one question, or why it declined."""

    text: str
    stop_reason: str = ""
    prompt_tokens: int = 0
    answer_tokens: int = 0
    refusal: str = ""


class Journal:
    """Replies by the fingerprint of what was asked. A line that a crash tore apart is ignored."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._known: dict[str, Reply] = {}
        if not path.exists():
            write_whole(path, b"")
        for line in path.read_bytes().split(b"\n"):
            try:
                row = json.loads(line)
                self._known[row["asked"]] = Reply(*row["reply"])
            except (ValueError, KeyError, TypeError):
                continue

    def get(self, asked: str) -> Reply | None:
        """What is known already."""
        return self._known.get(asked)

    def put(self, asked: str, reply: Reply, person: str) -> None:
        """Write a reply down. `person` is whose words were asked about, so that they can be forgotten."""
        line = json.dumps({"asked": asked, "person": person, "reply": reply}, ensure_ascii=False)
        with self._lock, self._path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
            self._known[asked] = reply
