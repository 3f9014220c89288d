"""Section `search`: how better settings are found."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sonneteer.recipe.section import Section


class SearchSettings(Section):
    """How `sonneteer search` looks for better settings. `search: auto` is a range test of the learning rate alone."""

    by: Literal["trials", "auto"] = "trials"
    """'trials' trains with many settings and compares their validation losses; 'auto' finds the learning rate by a
    short range test, and a batch size and a number of epochs that suit the amount of data."""
    trials: int = Field(20, ge=1)
    """Settings to try; the recipe's own are the first."""
    sampler: Literal["auto", "gp", "tpe", "random"] = "auto"
    """Who proposes the next settings: Gaussian processes, Parzen estimators, or chance. 'auto' takes the first up to
    30 trials, and the second beyond."""
    ranges: dict[str, tuple[float, float]] = Field(default={"training.learning_rate": (2e-5, 5e-3)})
    """Settings of `training`, `data` or `base` with their lowest and highest value; on a logarithmic scale where these
    are ten times apart."""
    choices: dict[str, tuple[bool | int | float | str | None, ...]] = Field(
        default={"training.batch_size": (8, 16, 32), "training.epochs": (1, 2, 3, 5), "training.rank": (8, 16, 32)}
    )
    """Settings of `training`, `data` or `base` with the values that may be chosen, as in
    `data.balance.most: [null, 500]`."""
    processes: int = Field(1, ge=1)
    """Trials that train at the same time, each in a process of its own."""
    control: bool = False
    """Also spend as many trials on settings drawn by chance, to see what the search was worth."""
    finalists: int = Field(3, ge=1)
    """Best trials that are trained again with other seeds before one is chosen."""
    seeds: int = Field(3, ge=1)
    """Trainings of each finalist. Of those within one standard error of the best, the one with the least work wins."""
