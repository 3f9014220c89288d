"""Section `synthesis`: a teacher that writes examples, what it writes them from, and what that may cost."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sonneteer.recipe.data import PassageSettings
from sonneteer.recipe.section import Section


class TeacherSettings(Section):
    """The model that writes: Claude, a server that speaks OpenAI's API, or a model on this machine."""

    api: Literal["anthropic", "openai", "local"] = "anthropic"
    """How it is asked: through Anthropic's package, through OpenAI's API (vLLM, Ollama, ...), or opened here."""
    model: str | None = None
    """Its name at the server; for 'local' a folder or 'couplet', as in `base.model`."""
    url: str = Field("https://api.anthropic.com", pattern=r"^https?://")
    """The server's address. The passages and questions are sent there, without the personal data that is masked."""
    key_variable: str | None = "ANTHROPIC_API_KEY"
    """Environment variable that holds the key; the key itself never stands in a recipe. `null` sends none."""
    terms: str = ""
    """Why its answers may be learned from. Needed for a server that is not your own: many providers forbid it."""
    input_price: float | None = Field(None, ge=0)
    """What a million tokens of questions cost."""
    output_price: float | None = Field(None, ge=0)
    """What a million tokens of answers cost."""


class SynthesisSettings(Section):
    """What `sonneteer synthesize` writes: a file of examples that can then be a source of `data`."""

    task: Literal["questions", "answers", "rewrite"] = "questions"
    """'questions' with answers over passages, 'answers' to prompts, or 'rewrite' the answers of examples."""
    sources: tuple[str, ...] = ()
    """Files, folders or patterns to write from: documents, prompts, or examples."""
    passages: PassageSettings = PassageSettings()
    questions: int = Field(3, ge=1, le=20)
    """Questions to each passage."""
    instructions: str = ""
    """What the teacher is told besides, such as the tone of the answers."""
    target: str = "synthetic.jsonl"
    """The file that is written, relative to the recipe's folder."""
    max_answer_tokens: int = Field(1024, ge=16)
    """Longest reply of the teacher."""
    temperature: float = Field(0.7, ge=0)
    """0 says the likeliest, 1 varies. Claude varies by itself, whatever stands here."""
    at_once: int = Field(4, ge=1, le=64)
    """Questions that are on their way to a server at the same time."""
    most_tokens: int | None = Field(None, ge=1)
    """No more tokens than this, of questions and replies together, over all attempts."""
    most_money: float | None = Field(None, gt=0)
    """No more money than this, by the teacher's prices, over all attempts."""
    teacher: TeacherSettings = TeacherSettings()

    @model_validator(mode="after")
    def _knows_the_prices(self) -> SynthesisSettings:
        if self.most_money is not None and None in (self.teacher.input_price, self.teacher.output_price):
            raise ValueError(
                "synthesis.most_money needs synthesis.teacher.input_price and output_price: what a million tokens cost."
            )
        return self
