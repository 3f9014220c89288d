"""The price table: what an hour of a machine costs, in a YAML file that the user edits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sonneteer.errors import RecipeError
from sonneteer.store.disk import write_whole

BEGINNING = """\
# Your prices: `sonneteer plan` and the dossier read this file.
currency: EUR
# What others charge for a million tokens, to compare a thousand answers with.
managed:
  a managed API:
    input_tokens: null  # such as 0.15; null is not known
    output_tokens: null
# What an hour of a machine costs; the first is this one. `speed` says how many times as fast as this machine another
# one trains; measure it, nobody can know it for you.
machines:
  this machine:
    price_per_hour: null  # such as 0.40
    speed: 1.0
"""
HOURS_A_MONTH = 730.0


class Priced(BaseModel):
    """One machine of the table."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    price_per_hour: Annotated[float, Field(ge=0)] | None = None
    speed: float = Field(1.0, gt=0)


class Managed(BaseModel):
    """What an API charges for a million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    input_tokens: Annotated[float, Field(ge=0)] | None = None
    output_tokens: Annotated[float, Field(ge=0)] | None = None

    def cost(self, prompt_tokens: float, answer_tokens: float) -> float | None:
        """Of one answer; None where a price is not known."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return (prompt_tokens * self.input_tokens + answer_tokens * self.output_tokens) / 1e6


class Prices(BaseModel):
    """The whole table."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    currency: str
    machines: dict[str, Priced]
    managed: dict[str, Managed] = Field(default_factory=dict)

    @property
    def serving_price(self) -> float | None:
        """An hour of the table's first machine, which is this one."""
        return next((one.price_per_hour for one in self.machines.values()), None)

    def costs(self, seconds: float) -> dict[str, float | None]:
        """What so many seconds of this machine's work cost on each machine."""
        return {
            name: None if one.price_per_hour is None else one.price_per_hour * seconds / 3600 / one.speed
            for name, one in self.machines.items()
        }


def read_prices(path: Path) -> Prices:
    """The table; written with places to fill in where there is none yet. Raises RecipeError."""
    if not path.exists():
        write_whole(path, BEGINNING.encode())
    try:
        return Prices.model_validate(YAML(typ="safe").load(path.read_text(encoding="utf-8")))
    except (YAMLError, ValidationError, UnicodeDecodeError) as problem:
        first = str(problem.errors()[0]) if isinstance(problem, ValidationError) else str(problem)
        raise RecipeError(
            f"{path} is no price table: {' '.join(first.split())}. Repair it, or remove it to get a new one."
        ) from problem
