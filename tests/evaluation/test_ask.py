"""Every question is asked once, whatever interrupts the asking."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from sonneteer.chat import Answer, Likelihood, Options
from sonneteer.evaluation.ask import Arm, Reply, ask
from sonneteer.records import Example, Message, Prompt
from sonneteer.testing import ScriptedChat

EXAMPLES = [
    Example(messages=(Message(role="user", text=f"question {i}"), Message(role="assistant", text="yes")))
    for i in range(7)
]
OPTIONS = Options(max_tokens=50)


class Fragile(ScriptedChat):
    """Is interrupted at its third batch."""

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[Answer]:
        if len(self.asked) >= 4:
            raise KeyboardInterrupt
        return super().answer(prompts, options)


def asked(chat: ScriptedChat, journal: Path, version: str = "1") -> list[Reply]:
    return ask(Arm("tuned", chat, version), EXAMPLES, OPTIONS, journal, 2, lambda count: None)


def test_an_interrupted_asking_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        asked(Fragile([f"answer {i}" for i in range(7)]), tmp_path / "answers")
    second = ScriptedChat([f"answer {i}" for i in range(4, 7)])
    replies = asked(second, tmp_path / "answers")
    assert [reply.text for reply in replies] == [f"answer {i}" for i in range(7)]
    assert len(second.asked) == 3


def test_a_line_that_a_crash_tore_is_asked_again(tmp_path: Path) -> None:
    asked(ScriptedChat(["a"]), tmp_path / "answers")
    content = (tmp_path / "answers").read_text()
    (tmp_path / "answers").write_text(content[:-20])
    again = ScriptedChat(["b"])
    assert [reply.text for reply in asked(again, tmp_path / "answers")] == ["a"] * 6 + ["b"]


def test_answers_of_another_version_are_not_taken_over(tmp_path: Path) -> None:
    asked(ScriptedChat(["old"]), tmp_path / "answers")
    assert {reply.text for reply in asked(ScriptedChat(["new"]), tmp_path / "answers", "2")} == {"new"}


def test_likelihoods_are_kept_where_the_model_gives_them(tmp_path: Path) -> None:
    told = Likelihood(log_prob=-2.5, tokens=3, right_tokens=1, characters=3)
    first = asked(ScriptedChat(["a"], [told]), tmp_path / "answers")
    again = asked(ScriptedChat(["never"], [told]), tmp_path / "answers")
    assert first == again
    assert {reply.likelihood for reply in again} == {told}
    assert {reply.likelihood for reply in asked(ScriptedChat(["a"]), tmp_path / "others")} == {None}


def test_a_model_with_likelihoods_weighs_the_rejected_answer_too(tmp_path: Path) -> None:
    pair = EXAMPLES[0].model_copy(update={"rejected": Message(role="assistant", text="no")})
    chat = ScriptedChat(["yes"], [Likelihood(-1.5, 1, 1, 3)])
    for _ in range(2):  # the second time from the journal
        replies = ask(Arm("base", chat, "1"), [pair, EXAMPLES[1]], OPTIONS, tmp_path / "answers", 2, lambda count: None)
        assert [reply.rejected for reply in replies] == [-1.5, None]
