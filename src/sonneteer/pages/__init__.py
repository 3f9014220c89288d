"""Pages of HTML from the templates of a package: every text escaped, and what is missing is an error.

They are self-contained and share one style, `page.css`, for light and dark screens and for paper.
"""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from sonneteer.records import Interval


def templates_of(package: str) -> Environment:
    """The templates that lie in a package, such as `sonneteer.data`, with the style and the filters of all pages."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, "."), PackageLoader("sonneteer.pages", ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": figure, "number": number, "interval": interval, "percent": percent}
    environment.filters |= {"duration": duration, "count": count, "words": words}
    return environment


def figure(value: float) -> str:
    """Three significant digits, and a true minus sign."""
    told = f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"
    return told.replace("-", "−").replace("e+", "e")


def number(value: float) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,.0f}"


def interval(told: Interval) -> str:
    """Its two ends."""
    return f"{figure(told.low)} to {figure(told.high)}"


def percent(share: float) -> str:
    """A share of one."""
    return f"{100 * share:.4g} %"


def count(number: int, noun: str) -> str:
    """A number of things."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def words(name: str) -> str:
    """A name of ours as people write it."""
    return name.replace("_", " ")


def duration(seconds: float) -> str:
    """In the units that people use for so long a time."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.0f} s"
