"""Presidio is asked where the recipe says so, and only adds what our own rules missed."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from sonneteer.errors import ExtraError
from sonneteer.privacy import Finder, Found
from sonneteer.recipe.sections import PrivacySettings

TEXT = "Quill of 8.8.8.8 wrote from 10.0.0.1 to jane@example.org and support@example.org on 2 July 2020"


def seen(entity: str, value: str, score: float = 0.9) -> SimpleNamespace:
    start = TEXT.index(value)
    return SimpleNamespace(entity_type=entity, start=start, end=start + len(value), score=score)


@pytest.fixture
def presidio(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A Presidio of five lines, and the spaCy models that were asked for."""
    loaded: list[str] = []
    spacy, tld, analyzer, nlp = (
        ModuleType(name) for name in ("spacy", "tldextract", "presidio_analyzer", "presidio_analyzer.nlp_engine")
    )
    spacy.blank = loaded.append  # type: ignore[attr-defined]
    spacy.load = loaded.append  # type: ignore[attr-defined]
    tld.tldextract = SimpleNamespace()  # type: ignore[attr-defined]
    tld.TLDExtract = lambda suffix_list_urls: suffix_list_urls  # type: ignore[attr-defined]
    nlp.SpacyNlpEngine = SimpleNamespace  # type: ignore[attr-defined]
    found = [
        seen("PERSON", "Quill"),
        seen("PERSON", "Quill of", 0.4),
        seen("EMAIL_ADDRESS", "support@example.org"),
        seen("EMAIL_ADDRESS", "jane@example.org"),
        seen("IP_ADDRESS", "10.0.0.1"),
        seen("DATE_TIME", "2 July 2020"),
    ]
    engine = SimpleNamespace(analyze=lambda text, language, score_threshold: found)
    analyzer.AnalyzerEngine = lambda nlp_engine, supported_languages: engine  # type: ignore[attr-defined]
    for module in (spacy, tld, analyzer, nlp):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return loaded


def test_it_adds_what_was_missed_and_not_what_we_leave_alone(presidio: list[str]) -> None:
    found = Finder(PrivacySettings(names="mask", presidio="blank")).find([TEXT])[0]
    values = {(TEXT[one.start : one.end], one.kind) for one in found}
    assert values == {("Quill", "names"), ("8.8.8.8", "network_addresses"), ("jane@example.org", "emails")}
    assert presidio == ["en"]


def test_it_keeps_what_the_recipe_keeps_and_allows(presidio: list[str]) -> None:
    assert not any(one.kind == "names" for one in Finder(PrivacySettings(presidio="some_model")).find([TEXT])[0])
    found = Finder(PrivacySettings(names="mask", presidio="blank", allow=("quill",))).find([TEXT])[0]
    assert Found(0, 5, "names") not in found
    assert presidio == ["some_model", "en"]


def test_where_it_is_missing_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(ExtraError, match=r"sonneteer\[presidio\]"):
        Finder(PrivacySettings(presidio="blank"))


@pytest.mark.usefixtures("presidio")
def test_a_model_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(sys.modules["spacy"], "load", load)
    with pytest.raises(ExtraError, match="'en_core_web_lg' is not installed"):
        Finder(PrivacySettings(presidio="en_core_web_lg"))
