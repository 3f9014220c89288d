"""The certificate with which the server speaks HTTPS itself."""

from __future__ import annotations

import ssl
from pathlib import Path

from sonneteer.errors import RecipeError
from sonneteer.recipe.sections import ServingSettings


def with_tls(settings: ServingSettings, folder: Path) -> ServingSettings:
    """The settings with the files of the certificate found, from `folder` on, and tried out. Raises RecipeError."""
    if settings.tls_certificate is None and settings.tls_key is None:
        return settings
    if settings.tls_certificate is None:
        raise RecipeError("serving.tls_key is set and serving.tls_certificate is not. HTTPS needs both.")
    named = {"tls_certificate": settings.tls_certificate, "tls_key": settings.tls_key or settings.tls_certificate}
    found = {name: folder / path for name, path in named.items()}
    asked = found if settings.tls_key else {"tls_certificate": found["tls_certificate"]}
    missing = [f"serving.{name}: there is no file {path}." for name, path in asked.items() if not path.is_file()]
    if missing:
        raise RecipeError(missing)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(found["tls_certificate"], found["tls_key"], password="")
    except OSError as problem:
        raise RecipeError(
            f"serving.tls_certificate and serving.tls_key cannot be used ({problem}). {found['tls_certificate']} has "
            f"to hold the certificate chain, and {found['tls_key']} its private key without a password, both as PEM."
        ) from problem
    return settings.model_copy(update={name: str(path) for name, path in found.items()})
