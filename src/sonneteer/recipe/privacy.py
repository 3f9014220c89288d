"""Section `privacy`: what becomes of personal data and secrets."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from sonneteer.recipe.section import Section

PERSONAL_KINDS = (
    "names",
    "addresses",
    "emails",
    "phones",
    "birth_dates",
    "national_ids",
    "medical_ids",
    "cards",
    "ibans",
    "network_addresses",
    "secrets",
)
"""Types of personal data, by the names of their settings."""

PrivacyAction = Literal["mask", "pseudonymise", "drop", "keep", "fail"]


class PrivacySettings(Section):
    """What becomes of personal data and secrets, type by type.

    'mask' writes the type in its place, such as [EMAIL]; 'pseudonymise' writes another value of the same form, always
    the same for the same; 'drop' leaves the row out; 'keep' does not look for it; 'fail' stops the preparation.
    """

    names: PrivacyAction = "keep"
    """Names of people. Only looked for if you ask: in many texts they are what the text is about."""
    addresses: PrivacyAction = "keep"
    """Street addresses and post boxes. Only looked for if you ask: many are those of shops and offices."""
    emails: PrivacyAction = "mask"
    """E-mail addresses, but not those of a role, such as support@ or info@."""
    phones: PrivacyAction = "mask"
    """Phone numbers that exist in one of the `countries`, have a country code, or are called a phone number."""
    birth_dates: PrivacyAction = "mask"
    """Dates that are called a date of birth. Other dates stay."""
    national_ids: PrivacyAction = "mask"
    """Numbers of citizens, taxpayers, passports and driving licences."""
    medical_ids: PrivacyAction = "mask"
    """Numbers of patients, medical records and health insurances."""
    cards: PrivacyAction = "mask"
    """Payment cards whose check digit is right."""
    ibans: PrivacyAction = "mask"
    """Bank accounts whose check digits are right."""
    network_addresses: PrivacyAction = "mask"
    """Public IP addresses, and hardware addresses."""
    secrets: PrivacyAction = "mask"
    """API keys, passwords, private keys, and tokens in web addresses."""
    countries: tuple[str, ...] = ("US", "GB", "CA", "AU", "IN", "DE", "FR", "ES", "IT", "NL", "PT", "PL", "BR")
    """Whose phone numbers and national numbers are looked for: two-letter codes."""
    allow: tuple[str, ...] = ()
    """Values that always stay, such as the address of your own shop."""
    also: tuple[str, ...] = ()
    """Names that are always found, whatever stands around them."""

    vault: str | None = None
    """File with the encrypted key of the pseudonyms, relative to the recipe's folder: `sonneteer vault make`. Without
    one the key is thrown away after the preparation, and nobody can undo the pseudonyms."""
    presidio: str | None = None
    """Let Presidio look for what our own rules missed: 'blank' for its rules alone, or an installed spaCy model, such
    as en_core_web_lg, for names too. Slow."""

    @model_validator(mode="after")
    def _needs_its_vault(self) -> PrivacySettings:
        if self.vault is not None and not self.of_action("pseudonymise"):
            raise ValueError(
                "privacy.vault keeps the key of pseudonyms, but no type has the action 'pseudonymise'. Give one that "
                "action, as in `names: pseudonymise`, or remove the vault."
            )
        return self

    def of_action(self, action: PrivacyAction) -> tuple[str, ...]:
        """The types that this is done with."""
        return tuple(kind for kind in PERSONAL_KINDS if getattr(self, kind) == action)

    @property
    def is_key_thrown_away(self) -> bool:
        """Whether there are pseudonyms that nobody can undo."""
        return self.vault is None and bool(self.of_action("pseudonymise"))
