"""What people say: users of single answers, and reviewers of what may be learned from that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sonneteer import serving
from sonneteer.errors import RequestError
from sonneteer.monitoring import Case
from sonneteer.privacy import Guard
from sonneteer.recipe.sections import PrivacySettings
from sonneteer.records import Feedback, Opinion
from sonneteer.store import Store


def say(store: Store, said: Mapping[str, Any], guard: Guard | None = None) -> Feedback:
    """Keep what somebody says of an answer. Raises MissingError for a message that was not written down.

    `guard` takes personal data out; without it all that is found is masked.
    """
    try:
        request = serving.FeedbackRequest.model_validate(said)
    except ValidationError as problem:
        raise RequestError("; ".join(each["msg"].removeprefix("Value error, ") for each in problem.errors())) from None
    return serving.give(store.traffic, guard or serving.strict_guard(PrivacySettings()), request)


def decide(store: Store, case: Case, opinion: Opinion) -> None:
    """A reviewer lets a user's feedback become something to learn from, or not."""
    assert case.feedback is not None, "only feedback is approved or refused"
    store.traffic.say(case.feedback.model_copy(update={"opinion": opinion}))


def review(store: Store, case: Case, said: Mapping[str, Any]) -> Feedback:
    """A reviewer's own word on an exchange, which needs nobody's approval.

    Names and addresses stay in it: what looks like one may be what the answer is about, and a reviewer knows.
    """
    guard = Guard(PrivacySettings())
    given = say(store, {"message_id": case.exchange.id, **said}, guard)
    approved = given.model_copy(update={"by": "reviewer", "opinion": "approved"})
    store.traffic.say(approved)
    return approved
