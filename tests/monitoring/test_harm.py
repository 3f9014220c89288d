"""The version on trial: fair as long as it is no worse, quickly found when it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from sonneteer.monitoring import Seen, Warden, usual_of
from sonneteer.monitoring.harm import Harm
from sonneteer.recipe.improvement import ImprovementSettings
from sonneteer.records import Deployment, Exchange, Feedback, Message, Prompt

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def trial(phase: str, share: float = 0.0) -> Deployment:
    said = {"id": "d", "name": "poet", "created_at": NOW, "champion_id": "old", "candidate_id": "new"}
    return Deployment.model_validate(said | {"phase": phase, "canary_share": share})


def exchange(number: int, model: str, **more: Any) -> Exchange:
    said = {
        "id": str(number),
        "name": "poet",
        "model_id": model,
        "conversation": f"c{number}",
        "created_at": NOW,
        "prompt": Prompt(messages=(Message(role="user", text="Hi"),)),
        "answer": Message(role="assistant", text="Hello"),
        "seconds": 0.1,
    }
    return Exchange.model_validate(said | more)


def test_the_game_is_fair_where_the_candidate_is_no_worse() -> None:
    rng = np.random.default_rng(1)
    reached = []
    for _ in range(500):
        harm, highest = Harm(0.2), 1.0
        for is_candidate in rng.random(100) < 0.2:
            harm.note(bool(is_candidate))
            highest = max(highest, harm.capital)
        reached.append(highest >= 20)
    assert np.mean(reached) <= 0.05


def test_a_candidate_that_fails_is_sent_back_after_few_failures() -> None:
    warden = Warden(trial("canary", 0.1), ImprovementSettings())
    for number in range(12):
        warden.note(exchange(number, "new", problem="ZeroDivisionError"))
    step, because = warden.step()
    assert step == "go back"
    assert because == "failures: 12 of the new version, 0 of the former"


def test_turns_of_one_conversation_are_one_event() -> None:
    warden = Warden(trial("canary", 0.1), ImprovementSettings())
    for number in range(50):
        warden.note(exchange(number, "new", problem="Z", conversation="the same"))
    assert warden.step()[0] == "wait"


@pytest.mark.parametrize("kind", ["slow", "empty", "disliked"])
def test_slow_empty_and_disliked_answers_are_harm_too(kind: str) -> None:
    warden = Warden(trial("canary", 0.1), ImprovementSettings(canary_conversations=1000))
    changes = {"slow": {"seconds": 9.0}, "empty": {"answer": Message(role="assistant", text=" ")}, "disliked": {}}[kind]
    for number in range(100):
        warden.note(exchange(number, "old"))
    for number in range(100, 130):
        warden.note(exchange(number, "new", **changes))
    if kind == "disliked":
        said = [
            Feedback(id=str(n), exchange_id=str(n), name="poet", created_at=NOW, liked=False) for n in range(100, 130)
        ]
        warden.note_feedback(said)
        warden.note_feedback(said)  # read again: nothing counts twice
    assert warden.step()[0] == "go back"


def test_answers_unlike_those_that_were_evaluated_are_harm_where_they_come_from_one_version() -> None:
    usual = usual_of([Seen("?", "It is on its way to you.", 0.8 + number / 1000) for number in range(100)])
    assert usual is not None
    assert usual_of([Seen("?", "Yes.", 0.9)] * 3) is None
    whole = {"answer": Message(role="assistant", text="It is on its way to you."), "confidence": 0.85}
    babble = {"answer": Message(role="assistant", text="on its way " * 50)}
    assert [usual.is_strange(exchange(0, "new", **(whole | changes))) for changes in ({}, babble)] == [False, True]
    assert usual.is_strange(exchange(0, "new", **(whole | {"confidence": 0.1})))

    def step(of_old: dict[str, Any]) -> str:
        settings = ImprovementSettings(canary_conversations=1000)
        warden = Warden(trial("canary", 0.5), settings, usual)
        for number in range(40):
            warden.note(exchange(number, "old", **(whole | of_old)))
            warden.note(exchange(1000 + number, "new", **(whole | babble)))
        return warden.step()[0]

    assert step({}) == "go back"
    assert step(babble) == "wait"  # the questions have changed, and not the model


def test_after_the_take_over_the_former_champion_is_still_compared_with() -> None:
    said = {"id": "d", "name": "poet", "created_at": NOW, "champion_id": "new", "previous_champion_id": "old"}
    taken_over = Deployment.model_validate(said | {"phase": "watched", "held_back_share": 0.1})
    warden = Warden(taken_over, ImprovementSettings(watch_conversations=50))
    for number in range(45):
        warden.note(exchange(number, "new"))
    assert warden.step()[0] == "wait"
    for number in range(100, 110):
        warden.note(exchange(number, "new"))
    assert warden.step()[0] == "advance"
    for number in range(200, 300):
        warden.note(exchange(number, "new", problem="ZeroDivisionError"))
    assert warden.step()[0] == "go back"


def test_a_candidate_without_harm_advances_after_so_many_conversations() -> None:
    warden = Warden(trial("canary", 0.1), ImprovementSettings(canary_conversations=5))
    for number in range(5):
        assert warden.step()[0] == "wait"
        warden.note(exchange(number, "new"))
        warden.note(exchange(100 + number, "old"))
    assert warden.step() == ("advance", "5 conversations without harm")


def test_in_the_shadow_only_what_one_of_both_does_badly_counts() -> None:
    warden = Warden(trial("shadow"), ImprovementSettings(shadow_exchanges=1000))
    both = {"shadow_model_id": "new", "shadow_answer": "", "answer": Message(role="assistant", text="")}
    for number in range(40):
        warden.note(exchange(number, "old", **both))
    assert warden.step()[0] == "wait"
    for number in range(40, 60):
        warden.note(exchange(number, "old", shadow_model_id="new", shadow_problem="Z"))
    assert warden.step()[0] == "go back"
