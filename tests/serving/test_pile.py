"""What waits for the database outlives the process that put it there."""

from __future__ import annotations

import errno
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from sonneteer.recipe.sections import MonitoringSettings, PrivacySettings
from sonneteer.serving import Recorder
from sonneteer.serving import pile as pile_module
from sonneteer.serving.pile import Pile

from .test_recorder import Notebook, exchange

Eventually = Callable[[Callable[[], bool]], bool]


def taken(pile: Pile) -> list[str]:
    """What all waiting pages hold; they are dropped."""
    found = []
    while (page := pile.take()) is not None:
        texts = [each.prompt.messages[0].text for each in page.exchanges()]
        assert len(texts) == page.size
        found += texts
        page.drop()
    return found


def test_a_pile_gives_back_what_was_put_there_in_the_same_order(tmp_path: Path) -> None:
    pile = Pile(tmp_path)
    for name in "abc":
        pile.put(exchange(name))
    assert taken(pile) == ["a", "b", "c"]
    assert pile.take() is None
    assert not list(tmp_path.glob("*.jsonl"))


def test_the_next_process_takes_over_what_a_killed_one_left_and_not_what_a_living_one_has(tmp_path: Path) -> None:
    killed, living = Pile(tmp_path), Pile(tmp_path)
    for name in "ab":
        killed.put(exchange(name))
    killed.take()
    killed.put(exchange("c"))
    living.put(exchange("not yours"))
    killed.close()  # as the operating system does: the files stay, the lock goes
    (page,) = [path for path in tmp_path.glob("*.jsonl") if b'"c"' in path.read_bytes()]
    page.write_bytes(page.read_bytes() + b'{"id": "torn')
    heir = Pile(tmp_path)
    assert heir.left == 3
    assert taken(heir) == ["a", "b", "c"]
    assert Pile(tmp_path).left == 0
    assert taken(living) == ["not yours"]


def test_what_a_full_disk_does_not_take_stays_in_memory_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(FileIO):
        """A file on a disk that has room for half a line, then for nothing, and in the end for all."""

        tries = 0

        def write(self, line: bytes) -> int:  # type: ignore[override]
            self.tries += 1
            if 1 < self.tries <= 4:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(line[: len(line) // 2] if self.tries == 1 else line)

    monkeypatch.setattr(pile_module, "MOST_IN_MEMORY", 3)
    pile = Pile(tmp_path)
    pile._file = Full(tmp_path / "full.jsonl", "ab")
    assert [pile.put(exchange(name)) for name in "abcde"] == [True, True, True, False, True]
    assert taken(pile) == ["e", "a", "b", "c"]


def test_a_killed_server_loses_nothing_that_was_noted(tmp_path: Path, eventually: Eventually) -> None:
    def begun(notebook: Notebook) -> Recorder:
        return Recorder(notebook, MonitoringSettings(), PrivacySettings(), tmp_path)

    away, back = Notebook(), Notebook()
    away.is_open.clear()
    killed = begun(away)
    for number in range(250):
        killed.note(exchange(f"{number} by ilse@example.com"))
    killed.close(seconds=0)
    on_disk: Any = b"".join(path.read_bytes() for path in tmp_path.glob("*.jsonl"))
    assert b"ilse@" not in on_disk  # personal data is never written raw, not even for a moment
    heir = begun(back)
    assert eventually(lambda: heir.tally().waiting == 0)
    assert [each.prompt.messages[0].text for each in back.written] == [f"{n} by [EMAIL]" for n in range(250)]
    heir.close()
