"""A second opinion: Presidio (the extra `presidio`), run in this process and kept off the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sonneteer.errors import ExtraError
from sonneteer.privacy.rules import is_personal_mailbox, is_public_address

LEAST_SCORE = 0.35
"""What Presidio itself is less sure of is left alone."""
BLANK = "blank"
KINDS = {
    "PERSON": "names",
    "EMAIL_ADDRESS": "emails",
    "PHONE_NUMBER": "phones",
    "CREDIT_CARD": "cards",
    "IBAN_CODE": "ibans",
    "IP_ADDRESS": "network_addresses",
    "MAC_ADDRESS": "network_addresses",
    "MEDICAL_LICENSE": "medical_ids",
    "UK_NHS": "medical_ids",
    "AU_MEDICARE": "medical_ids",
    "US_MBI": "medical_ids",
}
NATIONAL = (
    "US_",
    "UK_",
    "ES_",
    "IT_",
    "PL_",
    "SG_",
    "AU_",
    "IN_",
    "FI_",
    "KR_",
    "DE_",
    "SE_",
    "CA_",
    "NG_",
    "TR_",
    "TH_",
)
"""All other types that begin with a country are numbers of its citizens, taxpayers or drivers."""
HOLDS: dict[str, Callable[[str], bool]] = {
    "emails": is_personal_mailbox,
    "network_addresses": is_public_address,
}
"""What our own rules leave alone on purpose is left alone here, too."""


class Opinion(NamedTuple):
    """Where something stands, and of which of our types it is."""

    start: int
    end: int
    kind: str


class Presidio:
    """Presidio with its own rules and, unless it is `blank`, a spaCy model that is installed."""

    def __init__(self, model: str) -> None:
        self._analyzer = _analyzer(model)

    def find(self, text: str) -> Iterator[Opinion]:
        """What it finds of the types that we know, the surest first."""
        found = self._analyzer.analyze(text, "en", score_threshold=LEAST_SCORE)
        for one in sorted(found, key=lambda one: (-one.score, one.start)):
            kind = KINDS.get(one.entity_type, "national_ids" if one.entity_type.startswith(NATIONAL) else None)
            if kind and HOLDS.get(kind, bool)(text[one.start : one.end]):
                yield Opinion(one.start, one.end, kind)


def _analyzer(model: str) -> Any:
    try:
        import spacy
        import tldextract
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
    except ImportError as problem:
        raise ExtraError(
            "privacy.presidio needs the package 'presidio-analyzer': pip install 'sonneteer[presidio]'. Or remove the "
            "setting: our own rules need nothing."
        ) from problem
    try:
        language = spacy.blank("en") if model == BLANK else spacy.load(model)
    except OSError as problem:
        raise ExtraError(
            f"privacy.presidio: the spaCy model '{model}' is not installed. Install it (python -m spacy download "
            f"{model}), or write 'blank'."
        ) from problem
    # It would ask the net for the list of domain endings; the list that comes with the package will do.
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.extract
    engine = SpacyNlpEngine()
    engine.nlp = {"en": language}
    return AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])
