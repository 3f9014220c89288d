"""HTTPS by files of the recipe: it works, is told in the address, and what is wrong with the files is said at once."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sonneteer.errors import RecipeError
from sonneteer.recipe.sections import ServingSettings
from sonneteer.serving import Keys, ServedModel, create_app, with_tls
from sonneteer.serving.listen import server, welcome
from sonneteer.testing import ScriptedChat

MODEL = ServedModel("poet", ScriptedChat(["Hi"]), datetime(2026, 3, 1, tzinfo=UTC), None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a certificate of this machine, its key, and the key of somebody else."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signed = made.add_extension(here, critical=True).sign(key, hashes.SHA256())
    (tmp_path / "chain.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    for file, each in (("key.pem", key), ("other.pem", ec.generate_private_key(ec.SECP256R1()))):
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (tmp_path / file).write_bytes(each.private_bytes(*form))
    return tmp_path


def test_the_server_speaks_https_and_says_so(folder: Path) -> None:
    settings = with_tls(ServingSettings(tls_certificate="chain.pem", tls_key="key.pem"), folder)
    trusting = ssl.create_default_context(cafile=str(folder / "chain.pem"))
    web = server(create_app([MODEL], settings, Keys()), settings)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=web.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=trusting)) as connection:
                connection.request("GET", "/health")
                reply = connection.getresponse()
                assert (reply.status, b"ready" in reply.read()) == (200, True)
        finally:
            web.should_exit = True
            thread.join(60)
    assert f'base_url="https://127.0.0.1:{port}"' in welcome([MODEL], settings, port, has_keys=False)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"tls_certificate": "chain.pem", "tls_key": "other.pem"}, "cannot be used"),
        ({"tls_certificate": "key.pem", "tls_key": "chain.pem"}, "cannot be used"),
        ({"tls_certificate": "nowhere.pem", "tls_key": "gone.pem"}, "no file .*nowhere.pem(.|\n)*no file .*gone.pem"),
        ({"tls_key": "key.pem"}, "HTTPS needs both"),
    ],
)
def test_files_that_make_no_https_are_something_to_change(folder: Path, files: dict[str, str], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        with_tls(ServingSettings(**files), folder)


def test_without_files_nothing_changes(folder: Path) -> None:
    assert with_tls(ServingSettings(), folder) == ServingSettings()
