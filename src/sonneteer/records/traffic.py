"""What happens after deployment: which version answers, what was asked and answered, and what people said of it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, model_validator

from sonneteer.records.conversation import Message, Prompt
from sonneteer.records.record import Record

Arm = Literal["champion", "canary", "former"]
"""Who answered: the version that is deployed, the one that is on trial, or the one that was deployed before."""
Phase = Literal["full", "shadow", "canary", "watched"]


class Deployment(Record):
    """Which version takes which share of the traffic under a name. The newest of a name is in force."""

    id: str
    name: str
    created_at: datetime
    champion_id: str
    """The version that answers."""
    phase: Phase = "full"
    """'shadow': the candidate answers too, and nobody sees it; 'canary': it takes `canary_share`; 'watched': it is the
    champion now, and the former one still takes `held_back_share`; 'full': the champion answers all."""
    candidate_id: str | None = None
    canary_share: float = Field(0.0, ge=0, le=1)
    held_back_share: float = Field(0.0, ge=0, lt=1)
    previous_champion_id: str | None = None
    """Whom a roll-back brings back. It stays loaded."""
    because: str = ""

    @model_validator(mode="after")
    def _has_a_candidate_where_it_needs_one(self) -> Deployment:
        has_candidate = self.phase in ("shadow", "canary")
        assert (self.candidate_id is not None) == has_candidate, "only shadow and canary have a candidate"
        assert self.phase != "watched" or self.previous_champion_id, "a champion is watched beside the former one"
        return self

    @property
    def watched_id(self) -> str | None:
        """The version that is compared with another one, if any is."""
        return self.champion_id if self.phase == "watched" else self.candidate_id


class Exchange(Record):
    """One live question and its answer, as written down: personal data is masked."""

    id: str
    """The id of the message that the client got, without its prefix."""
    name: str
    model_id: str
    """The version that answered."""
    arm: Arm = "champion"
    conversation: str
    """A digest: the same for all turns of one conversation."""
    created_at: datetime
    prompt: Prompt
    answer: Message
    stop_reason: str = ""
    prompt_tokens: int = 0
    answer_tokens: int = 0
    seconds: float
    """From the request's arrival to the answer's end."""
    first_token_seconds: float | None = None
    confidence: float | None = None
    """Mean probability of the answer's tokens, where the model tells it."""
    shadow_model_id: str | None = None
    shadow_answer: str | None = None
    """What the candidate would have said."""
    shadow_problem: str = ""
    """What kind of failure there was instead."""
    problem: str = ""
    """What kind of failure there was instead of an answer."""
    masked: dict[str, int] = Field(default_factory=dict)
    """Personal data that was taken out, pieces by type."""


Opinion = Literal["open", "approved", "refused"]


class Feedback(Record):
    """What a person said of an answer: that it was good or bad, how good, what it should have been, what it is."""

    id: str
    exchange_id: str
    name: str
    created_at: datetime
    by: Literal["user", "reviewer"] = "user"
    key: str = ""
    """Digest of the API key that it came by; empty where it came by none."""
    liked: bool | None = None
    """Thumbs up or down."""
    stars: int | None = Field(None, ge=1, le=5)
    correction: str | None = None
    """What the answer should have been."""
    label: str | None = None
    """What is wrong, or what kind of question it was, in the team's own words."""
    comment: str = ""
    opinion: Opinion = "open"
    """Whether a reviewer lets it become something to learn from."""
    pattern: str = ""
    """What it has in common with others, where a reviewer has decided on all of them."""

    @model_validator(mode="after")
    def _says_something(self) -> Feedback:
        said = (self.liked, self.stars, self.correction, self.label)
        if all(each is None for each in said) and not self.comment:
            raise ValueError("feedback says something: liked, stars, correction, label or comment")
        return self

    @property
    def is_good(self) -> bool | None:
        """Whether the answer was good, by whatever tells: thumbs, a correction, or stars (3 tells nothing)."""
        if self.liked is not None:
            return self.liked
        if self.correction is not None:
            return False
        return None if self.stars is None or self.stars == 3 else self.stars > 3
