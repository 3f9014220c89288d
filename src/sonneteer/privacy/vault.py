"""The vault: a file with the key of the pseudonyms, encrypted under a passphrase (scrypt, RFC 7914; AES-256-GCM)."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sonneteer.errors import DataError, LockedError, MachineError, MissingError, TakenError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PASSPHRASE, KEY_FILE = "SONNETEER_VAULT_PASSPHRASE", "SONNETEER_VAULT_KEY_FILE"
KEY_LENGTH = 32
FORM = "sonneteer vault 1"
HARDNESS = {"n": 2**15, "r": 8, "p": 1, "maxmem": 2**26}
"""32 MB of memory and a tenth of a second for each guess of the passphrase."""


class Vault(NamedTuple):
    """An open vault."""

    id: str
    """What reports and the audit log call it; it tells nothing of the key."""
    key: bytes


def make_vault(path: Path, passphrase: bytes) -> Vault:
    """A new key, encrypted. Raises TakenError where a file stands already."""
    vault = Vault(secrets.token_hex(8), secrets.token_bytes(KEY_LENGTH))
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    sealed = _cipher(passphrase, salt).encrypt(nonce, vault.key, vault.id.encode())
    parts = {"salt": salt, "nonce": nonce, "key": sealed}
    written = {"form": FORM, "id": vault.id} | {name: b64encode(part).decode() for name, part in parts.items()}
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            json.dump(written, stream, indent=1)
    except FileExistsError as problem:
        raise TakenError(
            f"{path} is there already, and a vault is never overwritten. Choose another name."
        ) from problem
    except OSError as problem:
        raise MachineError(f"{path} cannot be written: {problem.strerror}. Choose another place.") from problem
    return vault


def open_vault(path: Path, passphrase: bytes) -> Vault:
    """The key. Raises LockedError where the passphrase does not fit."""
    from cryptography.exceptions import InvalidTag

    parts = _read(path)
    salt, nonce, sealed = (b64decode(parts[name]) for name in ("salt", "nonce", "key"))
    try:
        return Vault(parts["id"], _cipher(passphrase, salt).decrypt(nonce, sealed, parts["id"].encode()))
    except InvalidTag as problem:
        raise LockedError(f"The passphrase does not open {path}, or somebody changed the file.") from problem


def vault_id(path: Path) -> str:
    """What a vault is called. It can be read without the passphrase."""
    return _read(path)["id"]


def given_passphrase(environment: Mapping[str, str], path: Path) -> bytes:
    """The passphrase of the environment: itself, or the content of a file. Raises LockedError where there is none."""
    if file := environment.get(KEY_FILE):
        try:
            return Path(file).read_bytes().strip()
        except OSError as problem:
            raise LockedError(f"{KEY_FILE} names {file}, which cannot be read: {problem.strerror}.") from problem
    if passphrase := environment.get(PASSPHRASE):
        return passphrase.encode()
    raise LockedError(
        f"The vault {path} is locked. Put its passphrase into the environment variable {PASSPHRASE}, or the name of a "
        f"file that holds it into {KEY_FILE}."
    )


def _read(path: Path) -> dict[str, str]:
    try:
        parts = json.loads(path.read_bytes())
    except FileNotFoundError as problem:
        raise MissingError(f"There is no vault {path}. Make one: sonneteer vault make {path}") from problem
    except OSError as problem:
        raise MachineError(f"{path} cannot be read: {problem.strerror}.") from problem
    except ValueError:
        parts = None
    if not isinstance(parts, dict) or parts.get("form") != FORM:
        raise DataError(f"{path} is no vault of this edition of Sonneteer. Name the right file.")
    return parts


def _cipher(passphrase: bytes, salt: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(hashlib.scrypt(passphrase, salt=salt, dklen=KEY_LENGTH, **HARDNESS))
