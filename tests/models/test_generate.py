"""Answers are those of the model's own greedy decoding, in batches and streams, and stop where they should."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sonneteer.chat import Chat, LogProbs, Options
from sonneteer.errors import RequestError
from sonneteer.models.generate import LocalChat
from sonneteer.models.load import open_folder
from sonneteer.records import Example, Message, Prompt

from .networks import FAMILIES, saved

GREEDY = Options(max_tokens=12)
PROMPTS = [
    Prompt(messages=(Message(role="user", text=text),)) for text in ("Hello?", "Where is my order, please?", "a")
]


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> LocalChat:
    return LocalChat(open_folder("tiny", saved("qwen3", tmp_path_factory.mktemp("tiny"))))


def test_it_is_a_chat_that_tells_likelihoods(chat: LocalChat) -> None:
    assert isinstance(chat, Chat)
    assert isinstance(chat, LogProbs)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_answers_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    model = open_folder(family, saved(family, tmp_path))
    chat = LocalChat(model)
    answers = chat.answer(PROMPTS, GREEDY)
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        ids = model.renderer.prompt_ids(prompt)
        with torch.no_grad():
            whole = model.network.generate(
                torch.tensor([ids]),
                attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                max_new_tokens=12,
                do_sample=False,
                eos_token_id=sorted(model.renderer.stop_ids()),
                pad_token_id=1,
            )[0]
        assert answer.text == model.tokenizer.decode(whole[len(ids) :], skip_special_tokens=True)
        assert answer.prompt_tokens == len(ids)


def test_a_stream_says_what_the_answer_says(chat: LocalChat) -> None:
    for prompt, answer in zip(PROMPTS, chat.answer(PROMPTS, GREEDY), strict=True):
        *pieces, last = chat.stream(prompt, GREEDY)
        assert "".join(piece.text for piece in pieces) == answer.text
        assert last.answer == answer


def test_an_answer_ends_before_a_stop_sequence_in_streams_too(chat: LocalChat) -> None:
    whole = chat.answer(PROMPTS[:1], GREEDY)[0].text
    stop = whole[3:6]
    options = GREEDY.model_copy(update={"stop": (stop,)})
    answer = chat.answer(PROMPTS[:1], options)[0]
    assert answer.text == whole[: whole.index(stop)]
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", stop)
    assert "".join(piece.text for piece in chat.stream(PROMPTS[0], options)) == answer.text


def test_sampling_follows_its_seed(chat: LocalChat) -> None:
    def drawn(seed: int) -> str:
        return chat.answer(PROMPTS[:1], Options(max_tokens=12, temperature=2.0, top_k=50, top_p=0.95, seed=seed))[
            0
        ].text

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(6)}) > 1


def test_a_given_beginning_is_continued(chat: LocalChat) -> None:
    whole = chat.answer(PROMPTS[:1], GREEDY)[0].text
    rest = chat.answer(PROMPTS[:1], Options(max_tokens=4, prefill="Hello"))[0]
    assert not rest.text.startswith("Hello Hello")
    assert rest.prompt_tokens > chat.count_tokens(PROMPTS[0])
    assert whole


def test_a_prompt_that_fills_the_context_is_refused_with_the_numbers(chat: LocalChat) -> None:
    with pytest.raises(RequestError, match=r"too long: \d+ tokens > 511 maximum"):
        chat.answer([Prompt(messages=(Message(role="user", text="a b " * 600),))], GREEDY)


def test_no_tokens_wanted_gives_an_empty_answer(chat: LocalChat) -> None:
    answer = chat.answer(PROMPTS[:1], Options(max_tokens=0))[0]
    assert (answer.text, answer.answer_tokens, answer.stop_reason) == ("", 0, "length")


def test_likelihoods_are_of_the_last_answer_only(chat: LocalChat) -> None:
    turns = (
        Message(role="user", text="Hello?"),
        Message(role="assistant", text="Good day."),
        Message(role="user", text="And?"),
        Message(role="assistant", text="Nothing."),
    )
    (told,) = chat.likelihoods([Example(messages=turns)])
    assert told.characters == len("Nothing.")
    assert told.log_prob < 0
    assert 0 <= told.right_tokens <= told.tokens


def test_closing_a_stream_stops_the_work(chat: LocalChat) -> None:
    stream = chat.stream(PROMPTS[0], Options(max_tokens=400))
    next(stream)
    stream.close()
    assert list(stream) == []
