"""Personal data and secrets: found by type, and masked, exchanged, dropped or refused before anything is learned."""

from sonneteer.privacy.countries import refuse_unknown_countries
from sonneteer.privacy.find import Finder, Found
from sonneteer.privacy.protect import Guard, Protected, digest_of, is_digest, masked
from sonneteer.privacy.pseudonyms import Pseudonyms
from sonneteer.privacy.vault import Vault, given_passphrase, make_vault, open_vault, vault_id

__all__ = [
    "Finder",
    "Found",
    "Guard",
    "Protected",
    "Pseudonyms",
    "Vault",
    "digest_of",
    "given_passphrase",
    "is_digest",
    "make_vault",
    "masked",
    "open_vault",
    "refuse_unknown_countries",
    "vault_id",
]
