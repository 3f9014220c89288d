"""The circle after deployment: people say what was good, drift shows, the model learns, a better one goes live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sonneteer import serving
from sonneteer.errors import RequestError
from sonneteer.recipe.sections import PrivacySettings
from sonneteer.records import Feedback
from sonneteer.store import Store


def say(store: Store, said: Mapping[str, Any]) -> Feedback:
    """Keep what somebody says of an answer. Raises MissingError for a message that was not written down."""
    try:
        request = serving.FeedbackRequest.model_validate(said)
    except ValidationError as problem:
        raise RequestError("; ".join(each["msg"].removeprefix("Value error, ") for each in problem.errors())) from None
    return serving.give(store.traffic, serving.strict_guard(PrivacySettings()), request)
