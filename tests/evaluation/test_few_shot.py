"""The base model with examples in its prompt is asked the same question, after them."""

from __future__ import annotations

from collections.abc import Sequence

from sonneteer.chat import Answer, Likelihood, LogProbs, Options
from sonneteer.errors import RequestError
from sonneteer.evaluation.few_shot import FewShot, shots_of
from sonneteer.records import Example, Message, Prompt
from sonneteer.testing import ScriptedChat


def example(question: str, topic: str = "") -> Example:
    messages = (
        Message(role="system", text="be brief"),
        Message(role="user", text=question),
        Message(role="assistant", text=f"answer to {question}"),
    )
    return Example(messages=messages, tags={"topic": topic} if topic else {})


def test_the_examples_stand_between_instructions_and_question() -> None:
    chat = ScriptedChat(["yes"])
    FewShot(chat, [example("a")]).answer([example("b").prompt], Options())
    assert [message.text for message in chat.asked[0].messages] == ["be brief", "a", "answer to a", "b"]


def test_likelihoods_are_those_behind_the_examples_and_only_of_models_that_have_them() -> None:
    told = FewShot(ScriptedChat(["a"], [Likelihood(-1, 1, 1, 1)]), [example("a")])
    assert isinstance(told, LogProbs)
    assert told.likelihoods([example("b")]) == [Likelihood(-1, 1, 1, 1)]
    assert not isinstance(FewShot(ScriptedChat(["a"]), []), LogProbs)


class Narrow(ScriptedChat):
    """Reads at most eight words."""

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[Answer]:
        if any(self.count_tokens(prompt) > 8 for prompt in prompts):
            raise RequestError("prompt is too long")
        return super().answer(prompts, options)


def test_a_question_that_does_not_fit_behind_the_examples_is_asked_alone() -> None:
    chat = Narrow(["yes"])
    answers = FewShot(chat, [example("a")]).answer([example("b").prompt, example("b c d e").prompt], Options())
    assert len(answers) == 2
    assert [len(prompt.messages) for prompt in chat.asked] == [4, 2]


def test_the_shown_examples_come_from_all_topics() -> None:
    training = [example(f"{topic} {i}", topic) for topic in ("tax", "rent") for i in range(10)]
    shots = shots_of(training, 4)
    assert sorted(shot.tags["topic"] for shot in shots) == ["rent", "rent", "tax", "tax"]
    assert shots_of(training, 4) == shots
