"""Whether a teacher's answers may be learned from: for a server of others somebody has to say why."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from sonneteer.errors import RecipeError
from sonneteer.recipe.sections import TeacherSettings

OWN = ("localhost", ".local", ".internal", ".lan")


def refuse_without_terms(teacher: TeacherSettings) -> None:
    """Raises RecipeError where the recipe does not say which model writes, or why one may learn from it."""
    if not teacher.model:
        raise RecipeError("synthesis.teacher.model is missing: name the model that writes the examples.")
    if teacher.api == "local" or teacher.terms.strip() or _is_own(urlsplit(teacher.url).hostname or ""):
        return
    raise RecipeError(
        f"synthesis.teacher: the answers of {teacher.url} are to train a model, and its terms may forbid that "
        "(Anthropic's and OpenAI's forbid models that compete with theirs). Read them, and say in `terms` why you may, "
        "such as `terms: our agreement of March allows it`; or choose a model of your own."
    )


def _is_own(host: str) -> bool:
    """Whether a server stands on this machine or in a private network."""
    try:
        return ip_address(host).is_private
    except ValueError:
        return host.endswith(OWN) or "." not in host
