"""The health report: quiet while the traffic is like the training, loud when it shifts, on made-up traffic."""

from __future__ import annotations

import http.server
import json
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sonneteer.errors import MachineError
from sonneteer.monitoring import Profile, Seen, Traffic, call, health_of, profile_of, queue, write_page
from sonneteer.recipe.sections import MonitoringSettings
from sonneteer.records import Exchange, Feedback, Health, Interval

from .test_harm import exchange

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RATE = "feedback rate"
THINGS = ("lamp", "book", "shoe", "coat", "desk", "ring", "sofa", "vase", "kite", "drum")


def order(rng: random.Random) -> str:
    return (
        f"{rng.choice(('Where', 'When', 'How'))} is my {rng.choice(THINGS)} number {rng.randrange(10**5)} sent today?"
    )


def weather(rng: random.Random) -> str:
    return f"Tell me whether it {rng.choice(('rains', 'snows', 'storms'))} in {rng.choice(('Rome', 'Oslo'))} tomorrow"


@pytest.fixture(scope="module")
def profile() -> Profile:
    rng = random.Random(1)
    answered = [Seen(order(rng), "It is on its way to you.") for _ in range(100)]
    return profile_of([order(rng) for _ in range(600)], answered, seed=1)


def traffic(questions: list[str], per_day: int = 50, answer: str = "It is on its way to you.") -> list[Exchange]:
    said = []
    for number, text in enumerate(questions):
        at = NOON + timedelta(days=number // per_day, seconds=number % per_day)
        whole = {"prompt": {"messages": [{"role": "user", "text": text}]}, "created_at": at}
        said.append(exchange(number, "poet-1", **whole, answer={"role": "assistant", "text": answer}))
    return said


def health(profile: Profile, exchanges: list[Exchange], *feedback: Feedback) -> Health:
    now = exchanges[-1].created_at
    return health_of(profile, Traffic("poet-1", exchanges, feedback), MonitoringSettings(newest=100), now)


def judged(said: list[Exchange], disliked_share: float, seed: int, **more: Any) -> list[Feedback]:
    """Half of the answers, a minute later."""
    rng = random.Random(seed)
    return [
        Feedback(
            id=f"f{one.id}",
            exchange_id=one.id,
            name="poet",
            created_at=one.created_at + timedelta(minutes=1),
            liked=rng.random() >= disliked_share,
            **more,
        )
        for one in said
        if rng.random() < 0.5
    ]


def test_traffic_like_the_training_is_healthy(profile: Profile) -> None:
    rng = random.Random(2)
    report = health(profile, traffic([order(rng) for _ in range(1000)]))
    assert (report.verdict, report.alarm_after, report.reasons) == ("healthy", None, ())
    assert report.out_of_scope is not None
    assert report.out_of_scope.low <= 0.05 <= report.out_of_scope.high
    assert all(signal.p_value is not None for signal in report.signals if signal.name == "topics")


def test_new_topics_are_said_to_be_new(profile: Profile) -> None:
    rng = random.Random(3)
    questions = [order(rng) for _ in range(300)] + [weather(rng) for _ in range(150)]
    report = health(profile, traffic(questions))
    assert report.verdict == "retrain"
    assert report.alarm_after is not None
    assert 300 < report.alarm_after < 400
    assert any(reason.startswith("topics:") for reason in report.reasons)


def test_a_model_that_begins_to_refuse_is_noticed_though_the_questions_stay(profile: Profile) -> None:
    rng = random.Random(4)
    questions = [order(rng) for _ in range(400)]
    said = traffic(questions)[:200] + traffic(questions, answer="I'm sorry, I cannot help with that.")[200:]
    moved = [signal.name for signal in health(profile, said).signals if signal.has_moved]
    assert "refusals" in moved
    assert "topics" not in moved


def test_a_model_that_becomes_less_sure_is_noticed_against_its_own_test_answers() -> None:
    rng = random.Random(9)
    tested = [Seen(order(rng), "It is on its way to you.", rng.uniform(0.8, 1.0)) for _ in range(100)]
    profile = profile_of([order(rng) for _ in range(600)], tested, seed=1)

    def answered(low: float) -> list[Exchange]:
        said = traffic([order(rng) for _ in range(200)])
        return [one.model_copy(update={"confidence": rng.uniform(low, 1.0)}) for one in said]

    assert health(profile, answered(0.8)).verdict == "healthy"
    unsure = health(profile, answered(0.5))
    (signal,) = [signal for signal in unsure.signals if signal.name == "confidence"]
    assert signal.has_moved
    assert signal.profile is not None
    assert signal.now < signal.profile


CHANGED: dict[str, tuple[Callable[[random.Random], str], str]] = {
    "question length": (lambda rng: f"{order(rng)} {order(rng)} {order(rng)}", "It is on its way to you."),
    "new words": (
        lambda rng: order(rng).replace("number", "nombre").replace("today", "hodie"),
        "It is on its way to you.",
    ),
    "other language": (
        lambda rng: (
            f"Wann wird meine Bestellung mit der Nummer {rng.randrange(10**5)} endlich zu mir geschickt werden?"
        ),
        "It is on its way to you.",
    ),
    "answer length": (order, "It is on its way."),
}


@pytest.mark.parametrize("figure", CHANGED)
def test_each_figure_that_changes_is_named(figure: str, profile: Profile) -> None:
    asked, answer = CHANGED[figure]
    rng = random.Random(5)
    before = traffic([order(rng) for _ in range(200)])
    after = traffic([asked(rng) for _ in range(400)], answer=answer)
    moved = [signal.name for signal in health(profile, before + after[200:]).signals if signal.has_moved]
    assert figure in moved


def test_a_week_that_is_disliked_after_one_that_was_liked_is_noticed(profile: Profile) -> None:
    rng = random.Random(6)
    said = traffic([order(rng) for _ in range(280)], per_day=20)
    liked = judged(said, 0.0, seed=6)
    assert health(profile, said, *liked).verdict == "healthy"
    report = health(profile, said, *judged(said[:140], 0.0, seed=6), *judged(said[140:], 0.4, seed=6))
    assert [signal.name for signal in report.signals if signal.has_moved] == ["disliked"]
    assert report.reasons[0].endswith(" the week before")


def test_answers_that_are_disliked_from_the_first_day_are_noticed(profile: Profile) -> None:
    rng = random.Random(10)
    said = traffic([order(rng) for _ in range(200)])
    report = health(profile, said, *judged(said, 0.85, seed=11))
    assert report.verdict == "retrain"
    assert [signal.name for signal in report.signals if signal.has_moved] == ["disliked"]
    assert report.reasons[0].endswith("now, more than the 0.5 that the recipe tolerates")
    settings = MonitoringSettings(newest=100, most_disliked=1)
    patient = health_of(profile, Traffic("poet-1", said, judged(said, 0.85, seed=11)), settings, NOON)
    assert patient.verdict == "healthy"


@pytest.mark.parametrize("share", [0.1, 0.45])
def test_dislikes_that_are_tolerated_are_no_reason_however_many_there_are(share: float, profile: Profile) -> None:
    rng = random.Random(12)
    said = traffic([order(rng) for _ in range(1500)])
    assert health(profile, said, *judged(said, share, seed=13)).verdict == "healthy"


def test_one_person_who_dislikes_a_whole_conversation_and_a_reviewer_s_choice_prove_nothing(profile: Profile) -> None:
    rng = random.Random(14)
    said = traffic([order(rng) for _ in range(200)])
    angry = [one.model_copy(update={"conversation": "one"}) for one in said]
    assert health(profile, angry, *judged(angry, 1.0, seed=15)).verdict == "healthy"
    reviewed = health(profile, said, *judged(said, 1.0, seed=15, by="reviewer"))
    assert (reviewed.verdict, reviewed.liked_share) == ("healthy", None)


def test_a_week_that_is_liked_after_one_that_was_disliked_is_no_reason_to_train_again(profile: Profile) -> None:
    rng = random.Random(16)
    said = traffic([order(rng) for _ in range(280)], per_day=20)
    thumbs = [*judged(said[:140], 0.4, seed=17), *judged(said[140:], 0.0, seed=18)]
    (signal,) = [one for one in health(profile, said, *thumbs).signals if one.name == "disliked"]
    assert signal.p_value is not None
    assert signal.p_value < 1e-5
    assert not signal.has_moved


def test_a_week_in_which_people_fall_silent_is_noticed_and_the_last_day_may_still_be_judged(profile: Profile) -> None:
    rng = random.Random(19)
    said = traffic([order(rng) for _ in range(420)], per_day=30)
    spoken = judged(said, 0.1, seed=20)
    after = {one.id for one in said[210:]}
    for thumbs, has_moved in ((spoken, False), ([one for one in spoken if one.exchange_id not in after], True)):
        (signal,) = [one for one in health(profile, said, *thumbs).signals if one.name == RATE]
        assert signal.has_moved is has_moved
    silent_today = [one for one in spoken if one.created_at < said[-1].created_at - timedelta(hours=23)]
    (rate,) = [one for one in health(profile, said, *silent_today).signals if one.name == RATE]
    assert rate.now == pytest.approx(0.5, abs=0.15)


def test_silence_is_noticed_where_a_day_has_more_exchanges_than_count_as_now(profile: Profile) -> None:
    rng = random.Random(23)
    said = traffic([order(rng) for _ in range(1680)], per_day=120)
    (signal,) = [one for one in health(profile, said, *judged(said[:840], 0.1, seed=24)).signals if one.name == RATE]
    assert (signal.now, signal.has_moved) == (0, True)


def test_what_is_said_late_does_not_make_older_answers_look_more_talked_about(profile: Profile) -> None:
    rng = random.Random(21)
    said = traffic([order(rng) for _ in range(420)], per_day=30)
    late = [
        one.model_copy(update={"created_at": one.created_at + timedelta(days=8)})
        for one in judged(said[:210], 0.1, seed=22)
    ]
    (signal,) = [one for one in health(profile, said, *late).signals if one.name == RATE]
    assert (signal.now, signal.last_week, signal.has_moved) == (0, 0, False)


def test_groups_that_are_answered_differently_are_named(profile: Profile) -> None:
    rng = random.Random(5)
    said = traffic([f"{order(rng)} {'She' if number % 2 else 'He'} asked." for number in range(400)])
    unfair = [
        one.model_copy(
            update={"answer": one.answer.model_copy(update={"text": "No." if number % 2 else "Yes, gladly."})}
        )
        for number, one in enumerate(said)
    ]
    found = [gap for gap in health(profile, unfair).gaps if gap.is_found]
    assert [(gap.axis, gap.figure) for gap in found] == [("gender", "answer length")]
    assert found[0].means["men"] > found[0].means["women"]
    assert not any(gap.is_found for gap in health(profile, said).gaps)


def test_too_little_traffic_cannot_tell(profile: Profile) -> None:
    report = health(profile, traffic([order(random.Random(6))] * 20))
    assert report.verdict == "cannot tell"
    assert "Only 20 exchanges" in report.reasons[-1]


def test_a_change_that_is_certain_needs_no_hundred_exchanges(profile: Profile) -> None:
    report = health(profile, traffic([weather(random.Random(number)) for number in range(90)]))
    assert report.verdict == "retrain"
    assert not any("Only" in reason for reason in report.reasons)


def test_the_page_and_the_webhook_hold_the_figures_and_no_texts(profile: Profile, tmp_path: Path) -> None:
    rng = random.Random(7)
    report = health(profile, traffic([weather(rng) for _ in range(200)]))
    report = report.model_copy(update={"liked_share": Interval(value=0.5, low=0.4, high=0.6)})
    page = write_page(report, tmp_path / "health.html")
    assert "retrain" in page.read_text()
    assert "5 % is usual). Liked: 50.0 %" in page.read_text()
    assert Health.model_validate_json((tmp_path / "health.json").read_bytes()) == report
    posted: list[bytes] = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Hook) as hook:
        thread = threading.Thread(target=hook.handle_request)
        thread.start()
        call(f"http://127.0.0.1:{hook.server_port}", report)
        thread.join()
    assert json.loads(posted[0])["verdict"] == "retrain"
    for text in (page.read_text(), posted[0].decode()):
        assert "Rome" not in text
    with pytest.raises(MachineError, match="did not take the health report"):
        call(f"http://127.0.0.1:{hook.server_port}", report)


def test_the_queue_shows_what_users_said_then_the_unsure_and_the_different(profile: Profile) -> None:
    rng = random.Random(8)
    said = traffic([order(rng), weather(rng), order(rng), order(rng), order(rng)])
    said[2] = said[2].model_copy(update={"confidence": 0.1})
    said[3] = said[3].model_copy(update={"confidence": 0.9})
    opinion = {"id": "f", "name": "poet", "created_at": NOON, "liked": False}
    waiting = Feedback.model_validate(opinion | {"exchange_id": "0"})
    done = Feedback.model_validate(opinion | {"id": "g", "exchange_id": "4", "opinion": "approved"})
    cases = queue(profile.view, said, [waiting, done], most=3)
    assert [(case.exchange.id, case.why) for case in cases] == [
        ("0", "a user said something"),
        ("2", "the model was 10% sure"),
        ("1", "unlike what was learned"),
    ]
