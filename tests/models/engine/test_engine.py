"""Many answers at once are the answers that each would have got alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sonneteer.chat import Answer, Chat, Engine, Form, Options, Piece
from sonneteer.errors import ModelError, RequestError
from sonneteer.models.adapters import add_adapter, merged, put_on
from sonneteer.models.engine.answering import Answering
from sonneteer.models.engine.chat import EngineChat
from sonneteer.models.engine.engine import AnsweringEngine, Limits
from sonneteer.models.engine.guides import Guides
from sonneteer.models.engine.writing import Writing
from sonneteer.models.load import LanguageModel, open_folder
from sonneteer.recipe.sections import TrainingSettings
from sonneteer.records import Message, Prompt

from ..networks import FAMILIES, saved

GREEDY = Options(max_tokens=12)
TEXTS = ["Hello?", "Where is my order, please?", "a", "The cat sat on the mat. " * 8, "Where is my order, today?"]
LIMITS = Limits(seats=3, prefix_bytes=200_000)
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 5}, "days": {"$ref": "#/$defs/days"}},
            "required": ["city", "days"],
            "additionalProperties": False,
            "$defs": {"days": {"type": "integer", "minimum": 1, "maximum": 9}},
        },
    },
}


def asked(text: str, **more: Any) -> Prompt:
    return Prompt(messages=(Message(role="user", text=text),), **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved("qwen3", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[AnsweringEngine]:
    engine = AnsweringEngine(open_folder("tiny", folder), LIMITS)
    yield engine
    engine.close()


def alone(model: LanguageModel, prompt: Prompt, tokens: int = 12) -> str:
    """What transformers' own greedy decoding says."""
    ids = model.renderer.prompt_ids(prompt)
    with torch.no_grad():
        whole = model.network.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=tokens,
            do_sample=False,
            eos_token_id=sorted(model.renderer.stop_ids()),
            pad_token_id=1,
        )[0]
    return str(model.tokenizer.decode(whole[len(ids) :], skip_special_tokens=True))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_family_is_answered_as_transformers_does_or_refused(family: str, tmp_path: Path) -> None:
    model = open_folder(family, saved(family, tmp_path))
    if family.startswith("gemma"):
        with pytest.raises(ModelError, match="Llama-like"):
            AnsweringEngine(model)
        return
    expected = [alone(model, asked(text)) for text in TEXTS]
    engine = AnsweringEngine(model, LIMITS)
    try:
        assert [answer.text for answer in EngineChat(engine).answer([asked(t) for t in TEXTS], GREEDY)] == expected
    finally:
        engine.close()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.text("abc The?", min_size=1, max_size=60), st.integers(1, 20)), min_size=1, max_size=8))
def test_answers_in_company_are_those_given_alone(engine: AnsweringEngine, requests: list[tuple[str, int]]) -> None:
    told: SimpleQueue[tuple[int, Answer]] = SimpleQueue()

    def teller(number: int) -> Any:
        def tell(piece: Piece | Exception) -> None:
            assert isinstance(piece, Piece)
            if piece.answer is not None:
                told.put((number, piece.answer))

        return tell

    for number, (text, tokens) in enumerate(requests):
        engine.begin(asked(text), Options(max_tokens=tokens), teller(number))
    answers = dict(told.get(timeout=60) for _ in requests)
    for number, (text, tokens) in enumerate(requests):
        assert answers[number].text == alone(engine.model, asked(text), tokens)


def test_it_is_a_chat_and_an_engine_whose_streams_say_what_its_answers_say(engine: AnsweringEngine) -> None:
    chat = EngineChat(engine)
    assert isinstance(chat, Chat)
    assert isinstance(chat, Engine)
    *pieces, last = chat.stream(asked("Hello?"), GREEDY)
    (answer,) = chat.answer([asked("Hello?")], GREEDY)
    assert "".join(piece.text for piece in pieces) == answer.text
    assert last.answer is not None
    assert last.answer.text == answer.text
    assert chat.count_tokens(asked("Hello?")) == answer.prompt_tokens


def test_a_seed_gives_the_same_answer_in_any_company(engine: AnsweringEngine) -> None:
    chat = EngineChat(engine)
    wild = Options(max_tokens=12, temperature=1.5, top_p=0.95, top_k=50, seed=3)
    (single,) = chat.answer([asked("a")], wild)
    crowd = chat.answer([asked(text) for text in (*TEXTS, "a")], wild)
    assert crowd[-1].text == single.text
    others = {chat.answer([asked("a")], wild.model_copy(update={"seed": seed}))[0].text for seed in range(6)}
    assert len(others) > 1


def test_adapters_in_one_batch_answer_like_the_merged_models(folder: Path, tmp_path: Path) -> None:
    engine = AnsweringEngine(open_folder("tiny", folder), LIMITS)
    chats, expected = {None: EngineChat(engine)}, {None: alone(open_folder("tiny", folder), asked("Hello?"))}
    for name, targets, rank in (("one", ("q_proj", "v_proj", "down_proj"), 4), ("two", "all-linear", 2)):
        base = open_folder("tiny", folder)
        adapted = add_adapter(base.network, TrainingSettings(rank=rank, alpha=16, target_modules=targets), seed=rank)
        for parameter_name, parameter in adapted.named_parameters():
            if "lora_" in parameter_name:
                torch.nn.init.normal_(parameter, std=0.3)
        adapted.save_pretrained(tmp_path / name)
        network = merged(put_on(open_folder("tiny", folder).network, tmp_path / name))
        expected[name] = alone(LanguageModel(name, network, base.tokenizer, ""), asked("Hello?"))
        chats[name] = EngineChat(engine, engine.load_adapter(name, tmp_path / name))
    told: SimpleQueue[tuple[str | None, Piece | Exception]] = SimpleQueue()
    for name, chat in chats.items():
        chat.begin(asked("Hello?"), GREEDY, lambda piece, name=name: told.put((name, piece)))
    found = {}
    while len(found) < 3:
        name, piece = told.get(timeout=60)
        assert isinstance(piece, Piece), piece
        if piece.answer is not None:
            found[name] = piece.answer.text
    engine.close()
    assert len(set(expected.values())) == 3
    assert found == expected


def test_a_beginning_that_was_read_is_not_read_again(folder: Path) -> None:
    engine = AnsweringEngine(open_folder("tiny", folder), LIMITS)
    chat = EngineChat(engine)
    system = Message(role="system", text="The cat sat on the mat. Where is my order? " * 6)
    prompts = [Prompt(messages=(system, Message(role="user", text=text))) for text in TEXTS[:3]]
    answers = [chat.answer([prompt], GREEDY)[0] for prompt in prompts]
    assert [answer.cached_tokens > 64 for answer in answers] == [False, True, True]
    assert [answer.text for answer in answers] == [alone(engine.model, prompt) for prompt in prompts]
    chat.answer([asked(f"{number} {text}" * 5) for number in range(20) for text in TEXTS], Options(max_tokens=2))
    assert 0 < engine.figures().prefix_bytes <= LIMITS.prefix_bytes
    engine.close()


def test_an_answer_that_nobody_waits_for_gives_its_seat_back(engine: AnsweringEngine) -> None:
    started: SimpleQueue[object] = SimpleQueue()
    long = Options(max_tokens=400, temperature=1.0, logit_bias={3: -100.0, 0: -100.0})
    begun = [engine.begin(asked(f"{n}"), long, started.put) for n in range(LIMITS.seats)]
    started.get(timeout=60)
    done = threading.Thread(target=EngineChat(engine).answer, args=([asked("Hello?")], GREEDY))
    done.start()
    for answering in begun:
        answering.cancel()
    done.join(timeout=60)
    assert not done.is_alive()
    assert engine.figures().waiting == 0


def test_what_it_says_of_its_tokens_is_what_the_network_says(engine: AnsweringEngine) -> None:
    text = "Hello, how can I help you today? " * 20
    ids = tuple(engine.prompt_ids(text))
    told: SimpleQueue[Piece | Exception] = SimpleQueue()
    engine.begin(ids, Options(max_tokens=3, log_probs=2, scores_prompt=True, logit_bias={3: -100.0}), told.put)
    while not (isinstance(piece := told.get(timeout=60), Piece) and piece.answer):
        assert isinstance(piece, Piece), piece
    whole = [*ids, *(chance.id for chance in piece.answer.chances)]
    with torch.no_grad():
        true = engine.model.network(torch.tensor([whole])).logits[0].log_softmax(-1)
    said = [*piece.answer.prompt_chances, *piece.answer.chances]
    assert len(said) == len(whole)
    assert said[0].log_prob is None
    for place, chance in enumerate(said[1:], 1):
        assert chance.id == whole[place]
        assert chance.log_prob == pytest.approx(float(true[place - 1, chance.id]), abs=1e-3)
        assert chance.others[0][1] == pytest.approx(float(true[place - 1].max()), abs=1e-3)
    assert (
        b"".join(chance.raw for chance in piece.answer.prompt_chances).decode()
        == "Hello, how can I help you today? " * 20
    )


def test_an_answer_stops_before_a_stop_sequence_and_keeps_to_its_limits(engine: AnsweringEngine) -> None:
    chat = EngineChat(engine)
    whole = chat.answer([asked("Hello?")], GREEDY)[0].text
    stop = whole[3:6]
    options = GREEDY.model_copy(update={"stop": (stop,)})
    *pieces, last = chat.stream(asked("Hello?"), options)
    assert last.answer is not None
    assert last.answer.text == whole[: whole.index(stop)] == "".join(piece.text for piece in pieces)
    assert (last.answer.stop_reason, last.answer.stop_sequence) == ("stop_sequence", stop)
    (empty,) = chat.answer([asked("Hello?")], Options(max_tokens=0))
    assert (empty.text, empty.answer_tokens, empty.stop_reason) == ("", 0, "length")
    with pytest.raises(RequestError, match=r"too long: \d+ tokens > 511 maximum"):
        chat.answer([asked("a b " * 600)], GREEDY)


SCHEMA = {
    "type": "object",
    "properties": {
        "mood": {"enum": ["good", "bad"]},
        "points": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "maxItems": 3},
        "note": {"type": "string", "maxLength": 6},
    },
    "required": ["mood", "points", "note"],
    "additionalProperties": False,
}


def test_an_answer_of_a_schema_always_parses_though_the_model_talks_nonsense(engine: AnsweringEngine) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    chat = EngineChat(engine)
    for seed in range(8):
        wild = Options(max_tokens=200, temperature=2.0, seed=seed, form=Form(json_schema=SCHEMA))
        (answer,) = chat.answer([asked("a")], wild)
        jsonschema.validate(json.loads(answer.text), SCHEMA)
        assert answer.stop_reason == "end"
    begun = Options(max_tokens=200, prefill='{"mood": "good"', temperature=2.0, form=Form(json_schema=SCHEMA))
    assert json.loads(begun.prefill + chat.answer([asked("a")], begun)[0].text)["mood"] == "good"
    with pytest.raises(RequestError, match="cannot be enforced"):
        chat.answer([asked("a")], Options(form=Form(json_schema={"type": "nonsense"})))


def test_a_call_that_must_come_comes_with_arguments_of_the_tools_schema(engine: AnsweringEngine) -> None:
    chat = EngineChat(engine)
    for seed in range(6):
        form = Form(must_call=True, has_one_call=True)
        wild = Options(max_tokens=200, temperature=2.0, seed=seed, form=form)
        (answer,) = chat.answer([asked("a", tools=(WEATHER,))], wild)
        (call,) = answer.tool_calls
        assert call.name == "weather"
        assert set(call.arguments) == {"city", "days"}
        assert 1 <= call.arguments["days"] <= 9
        assert (answer.text, answer.stop_reason) == ("", "tool_use")
    with pytest.raises(RequestError, match="none of the tools"):
        chat.answer([asked("a", tools=(WEATHER,))], Options(form=Form(must_call=True, only_tool="other")))


def test_a_call_that_the_model_begins_by_itself_is_held_to_the_schema(engine: AnsweringEngine) -> None:
    mark = engine.model.tokenizer.encode("<tool_call>", add_special_tokens=False)
    guides = Guides(engine.model, {3})
    answering = Answering(
        ids=[1],
        limit=200,
        options=Options(),
        writing=Writing(engine.model.tokenizer.backend_tokenizer, (), has_tools=True),
        tell=lambda piece: None,
        adapter=None,
        guide=None,
        call_guide=lambda begun: guides.of_call(Form(), (WEATHER,), begun),
        decode=bytes,
    )
    logits = torch.zeros(400)
    for token in mark:
        answering.take(token, logits, {3})
    assert answering.guide is not None
    chance = torch.Generator().manual_seed(1)
    while not answering.is_over:
        drawn = torch.randn(400, generator=chance)
        answering.adjust(drawn)
        answering.take(int(drawn.argmax()), drawn, {3})
    calls = answering.writing.calls()
    assert calls
    assert all(call.name == "weather" and 1 <= call.arguments["days"] <= 9 for call in calls)


def test_penalties_and_biases_move_the_choice(engine: AnsweringEngine) -> None:
    chat = EngineChat(engine)
    token = engine.prompt_ids("t")[0]
    (biased,) = chat.answer([asked("a")], Options(max_tokens=5, logit_bias={token: 100.0}))
    assert biased.text == "ttttt"
    (varied,) = chat.answer(
        [asked("a")], Options(max_tokens=9, logit_bias={3: -100.0}, presence_penalty=1e6, log_probs=0)
    )
    assert len({chance.id for chance in varied.chances}) == 9
