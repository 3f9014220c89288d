"""A teacher writes examples: within its budget, asked nothing twice, and never told personal data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sonneteer import lifecycle
from sonneteer.data import Synthesized, forget, prepare, refuse_without_terms, synthesize
from sonneteer.errors import BusyError, RecipeError, RequestError, TakenError
from sonneteer.progress import Silent
from sonneteer.recipe import LoadedRecipe
from sonneteer.recipe.sections import Recipe, SynthesisSettings, TeacherSettings
from sonneteer.store import Store
from sonneteer.testing import ScriptedChat
from tests.data.writing import WordReader, recipe_of, write_lines
from tests.external.speaking import Host, busy, claude, gpt, in_turn, speaking

PAIRS = json.dumps([{"question": "How long?", "answer": "Thirty days."}, {"question": "Where?", "answer": "Leeds."}])


def recipe(**settings: Any) -> Recipe:
    teacher = {"model": "wise", "key_variable": None, **settings.pop("teacher", {})}
    synthesis = SynthesisSettings.model_validate({"sources": ("handbook",), "teacher": teacher, **settings})
    return recipe_of("synthetic.jsonl").model_copy(update={"synthesis": synthesis})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "handbook").mkdir()
    for number in range(4):
        (tmp_path / "handbook" / f"{number}.md").write_text(f"# Returns {number}\nWrite to ann{number}@example.org.")
    return tmp_path


def made(folder: Path, chat: ScriptedChat, **settings: Any) -> Synthesized:
    return synthesize(recipe(**settings), folder, Store(folder / "workspace"), chat, Silent())


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "synthetic.jsonl").read_text().splitlines()]


def over_the_wire(folder: Path, host: Host, api: str = "anthropic", **settings: Any) -> Synthesized:
    settings["teacher"] = {"api": api, "url": host.url, **settings.get("teacher", {})}
    loaded = LoadedRecipe(recipe(**settings), folder, [])
    return lifecycle.synthesize(loaded, Store(folder / "workspace"), Silent())


def test_questions_over_passages_say_who_made_them_from_what(folder: Path) -> None:
    result = made(folder, ScriptedChat([PAIRS]), questions=2)
    assert (result.examples, result.fates) == (8, {"written": 4})
    assert rows(folder)[0] == {
        "messages": [{"role": "user", "content": "How long?"}, {"role": "assistant", "content": "Thirty days."}],
        "tags": {
            "document": "handbook/0.md",
            "section": "Returns 0",
            "made_by": "wise",
            "made_how": "questions",
            "made_from": "handbook/0.md:1",
        },
    }


def test_the_teacher_never_sees_personal_data_and_is_told_what_the_recipe_says(folder: Path) -> None:
    chat = ScriptedChat([PAIRS])
    made(folder, chat, questions=7, instructions="Be friendly.", temperature=0.3)
    told = [prompt.messages[-1].text for prompt in chat.asked]
    assert all("[EMAIL]" in text and "example.org" not in text for text in told)
    assert all("Write 7 different questions" in text and "Be friendly." in text for text in told)


def test_what_was_replied_is_not_asked_again(folder: Path) -> None:
    first = made(folder, ScriptedChat([PAIRS]))
    again = ScriptedChat(["never said"])
    assert made(folder, again) == first
    assert again.asked == []
    (folder / "handbook" / "4.md").write_text("# New\nOpen on Sundays.")
    one_more = ScriptedChat([PAIRS])
    assert made(folder, one_more).examples == first.examples + 2
    assert len(one_more.asked) == 1


def test_the_budget_is_never_exceeded_and_a_greater_one_goes_on(folder: Path) -> None:
    settings: dict[str, Any] = {"max_answer_tokens": 100, "at_once": 1}
    result = made(folder, ScriptedChat([PAIRS]), most_tokens=650, **settings)
    assert 0 < result.tokens <= 650
    assert 0 < result.fates["written"] < 4
    assert result.fates["written"] + result.fates["not asked: the budget does not reach"] == 4
    prices = {"teacher": {"input_price": 10.0, "output_price": 20.0}}
    money = made(folder, ScriptedChat([PAIRS]), most_money=0.008, **settings, **prices)
    assert money.money is not None
    assert 0 < money.money <= 0.008
    assert made(folder, ScriptedChat([PAIRS]), **settings).fates == {"written": 4}


def test_money_needs_prices() -> None:
    with pytest.raises(ValueError, match="input_price"):
        SynthesisSettings(most_money=1.0)


def test_a_reply_that_is_no_list_is_asked_for_once_more_and_then_told(folder: Path) -> None:
    chat = ScriptedChat(["Sure!", f"Here you are:\n```json\n{PAIRS}\n```"])
    assert made(folder, chat, at_once=1).examples == 8
    assert len(chat.asked) == 8
    (folder / "handbook" / "5.md").write_text("Another one.")
    result = made(folder, ScriptedChat(['[{"question": "Why?"}]']), at_once=1)
    assert result.fates == {"written": 4, "unusable": 1}
    assert result.problems == ["handbook/5.md:1: unusable: a question or its answer is missing"]


def test_a_reply_that_is_cut_off_is_not_used(folder: Path) -> None:
    result = made(folder, ScriptedChat(["word " * 50]), max_answer_tokens=20)
    assert result.fates == {"unusable": 4}
    assert "longer than 20 tokens" in result.problems[0]


def test_prompts_are_answered_and_answers_are_written_anew(folder: Path) -> None:
    write_lines(
        folder / "asked.jsonl",
        [{"prompt": "Why?", "topic": "life"}, {"messages": [{"role": "user", "content": "Who?"}]}],
    )
    chat = ScriptedChat(["Because."])
    made(folder, chat, task="answers", sources=("asked.jsonl",), instructions="Be brief.")
    assert [row["messages"][-1]["content"] for row in rows(folder)] == ["Because.", "Because."]
    assert rows(folder)[0]["tags"]["topic"] == "life"
    assert chat.asked[0].messages[0].text == "Be brief."
    write_lines(folder / "old.jsonl", [{"prompt": "Why?", "completion": "cuz"}])
    made(folder, ScriptedChat(["Because of this."]), task="rewrite", sources=("old.jsonl",))
    assert [turn["content"] for turn in rows(folder)[0]["messages"]] == ["Why?", "Because of this."]


def test_prompts_alone_cannot_be_learned(folder: Path) -> None:
    write_lines(folder / "asked.jsonl", [{"prompt": "Why?"}])
    plain = recipe_of("asked.jsonl")
    (source,) = plain.data.sources
    data = plain.data.model_copy(update={"sources": (source.model_copy(update={"format": "prompt"}),)})
    with pytest.raises(RecipeError, match="no answers to learn"):
        prepare(plain.model_copy(update={"data": data}), folder, Store(folder / "workspace"), WordReader())


def test_a_file_that_somebody_else_wrote_stays(folder: Path) -> None:
    write_lines(folder / "synthetic.jsonl", [{"prompt": "Mine", "completion": "mine"}])
    with pytest.raises(TakenError, match="no teacher wrote it"):
        made(folder, ScriptedChat([PAIRS]))


def test_the_terms_stand_with_every_example(folder: Path) -> None:
    made(folder, ScriptedChat([PAIRS]), teacher={"terms": "agreement of March"})
    assert {row["tags"]["made_under"] for row in rows(folder)} == {"agreement of March"}


def test_what_was_written_is_a_source_like_any_other(folder: Path) -> None:
    made(folder, ScriptedChat([PAIRS]))
    read = recipe()
    data = read.data.model_copy(update={"test_share": 0.0, "validation_share": 0.0})
    store = Store(folder / "workspace")
    dataset = prepare(read.model_copy(update={"data": data}), folder, store, WordReader())
    assert dataset.tag_counts["made_by"] == {"wise": 2}
    assert dataset.totals["duplicate"] == 6


def test_a_person_who_is_forgotten_leaves_the_replies_too(folder: Path) -> None:
    write_lines(folder / "asked.jsonl", [{"prompt": "Why?", "person": "7"}, {"prompt": "Who?", "person": "8"}])
    made(folder, ScriptedChat(["Because."]), task="answers", sources=("asked.jsonl",))
    forget(Store(folder / "workspace"), "7")
    again = ScriptedChat(["Because."])
    assert made(folder, again, task="answers", sources=("asked.jsonl",)).examples == 1
    assert again.asked == []


@pytest.mark.parametrize(
    ("url", "needs"),
    [("https://api.anthropic.com", True), ("http://10.0.0.3:6500", False), ("http://vllm:6500", False)],
)
def test_the_terms_of_a_server_of_others_have_to_be_acknowledged(url: str, needs: bool) -> None:
    if not needs:
        refuse_without_terms(TeacherSettings(model="m", url=url))
        return
    with pytest.raises(RecipeError, match="say in `terms` why"):
        refuse_without_terms(TeacherSettings(model="m", url=url))
    refuse_without_terms(TeacherSettings(model="m", url=url, terms="our agreement allows it"))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://10.0.0.3:6500", "http://vllm:6500", "http://gpu.local"])
def test_a_server_of_one_s_own_has_no_terms(url: str) -> None:
    refuse_without_terms(TeacherSettings(model="m", url=url))


def test_a_teacher_needs_a_name_and_something_to_write_from(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"synthesis\.teacher\.model is missing"):
        refuse_without_terms(TeacherSettings())
    with pytest.raises(RecipeError, match=r"synthesis\.sources is empty"):
        made(folder, ScriptedChat([PAIRS]), sources=())
    made(folder, ScriptedChat([PAIRS]))
    with pytest.raises(RecipeError, match=r"is one of synthesis\.sources"):
        made(folder, ScriptedChat([PAIRS]), sources=("*.jsonl",), task="rewrite")


@pytest.mark.parametrize("api", ["anthropic", "openai"])
def test_over_the_wire_busy_servers_are_waited_for_and_refusals_are_noted(folder: Path, api: str) -> None:
    said, declined = (
        (claude(PAIRS), claude("", "refusal")) if api == "anthropic" else (gpt(PAIRS), gpt(None, refusal="no"))
    )
    with speaking(in_turn(busy(429), busy(529), said, declined, said)) as host:
        result = over_the_wire(folder, host, api, at_once=1)
    assert result.fates == {"written": 3, "refused": 1}
    assert result.tokens >= 450
    with speaking(in_turn(said)) as host:
        assert over_the_wire(folder, host, api).fates == {"written": 4}  # another address is another teacher


def test_an_interrupted_synthesis_goes_on_where_it_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sonneteer.external.claude.ATTEMPTS", 1)
    script = [claude(PAIRS), claude(PAIRS), *[busy(529)] * 2, claude(PAIRS)]
    with speaking(in_turn(*script)) as host:
        with pytest.raises(BusyError, match="it goes on"):
            over_the_wire(folder, host, at_once=1)
        assert over_the_wire(folder, host, at_once=1).fates == {"written": 4}
    assert len([one for one in host.asked if one["path"] == "/v1/messages"]) == 6


def test_a_server_that_refuses_everything_is_not_asked_for_ever(folder: Path) -> None:
    for number in range(4, 12):
        (folder / "handbook" / f"{number}.md").write_text(f"Part {number}")
    with speaking(in_turn(claude("", "refusal"))) as host, pytest.raises(RequestError, match="first 5 questions"):
        over_the_wire(folder, host, at_once=1)
    assert len(host.asked) == 5


def test_a_model_on_this_machine_can_be_the_teacher(folder: Path) -> None:
    loaded = LoadedRecipe(recipe(teacher={"api": "local", "model": "couplet"}, max_answer_tokens=16), folder, [])
    result = lifecycle.synthesize(loaded, Store(folder / "workspace"), Silent())
    assert sum(result.fates.values()) == 4
    assert result.tokens > 0
