"""Serving until stopped: the port, the first words to the user, and the end."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence

import uvicorn

from sonneteer.errors import MachineError, RecipeError
from sonneteer.recipe.sections import ServingSettings
from sonneteer.serving.app import Around, create_app
from sonneteer.serving.keys import Keys
from sonneteer.serving.lineup import ServedModel

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""Addresses that mean every one of this machine's, and one of them to try."""


def serve(
    models: Sequence[ServedModel],
    settings: ServingSettings,
    keys: Keys,
    note: Callable[[str], None],
    around: Around | None = None,
) -> None:
    """Answer requests until Ctrl-C. Raises MachineError without a port to be had, RecipeError for a wrong address."""
    around = around or Around()
    app = create_app(models, settings, keys, around=around)
    with open_port(settings.host, settings.port) as listener:
        port = int(listener.getsockname()[1])
        around.opened(f"{settings.host or '*'}:{port}")
        note(welcome(models, settings, port, has_keys=bool(keys.names)))
        try:
            server(app, settings).run(sockets=[listener])
        except KeyboardInterrupt:
            note("Stopped.")


def server(app: object, settings: ServingSettings) -> uvicorn.Server:
    """The web server, without logs of its own and without telling its name."""
    return uvicorn.Server(
        uvicorn.Config(
            app,  # type: ignore[arg-type]
            access_log=False,
            log_config=None,
            log_level="critical",  # our own log tells of failures, without quoting what people wrote
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=settings.stop_seconds,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
        )
    )


def welcome(models: Sequence[ServedModel], settings: ServingSettings, port: int, has_keys: bool) -> str:
    """What to do with the server, ready to be pasted."""
    address, scheme = EVERYWHERE.get(settings.host, settings.host), "https" if settings.tls_certificate else "http"
    url = f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"
    key = "sk-sonneteer-..." if has_keys else "any"
    named = [f"{one.name} ({one.model_id})" if one.model_id else one.name for one in models]
    lines = [f"{', '.join(named)} at {url} (Ctrl-C stops it)"]
    if settings.host in EVERYWHERE:
        lines.append(f"From other machines: put this machine's name in place of {address}.")
    lines.append(f"Key: {'one of those that you created' if has_keys else 'any will do on this machine'}.")
    return "\n".join(lines) + SNIPPETS.format(url=url, key=key, name=models[0].name)


SNIPPETS = """

# Anthropic's client: only the URL changes
import anthropic
client = anthropic.Anthropic(base_url="{url}", api_key="{key}")
message = client.messages.create(
    model="{name}", max_tokens=200, messages=[{{"role": "user", "content": "Hello!"}}]
)
print(message.content[0].text)

# OpenAI's client: only the URL changes
import openai
client = openai.OpenAI(base_url="{url}/v1", api_key="{key}")
completion = client.chat.completions.create(
    model="{name}", messages=[{{"role": "user", "content": "Hello!"}}]
)
print(completion.choices[0].message.content)

# Or without touching the code
export ANTHROPIC_BASE_URL={url} OPENAI_BASE_URL={url}/v1
"""


def open_port(host: str, port: int) -> socket.socket:
    """A socket that already listens, so that nobody can take the port meanwhile."""
    family, address = _address(host, port)
    # The protocol is named, or asyncio would not switch Nagle's algorithm off: each stream would begin 40 ms late.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(socket.SOMAXCONN)
    except OSError as problem:
        listener.close()
        raise _in_words(problem, host, port) from problem
    return listener


def _address(host: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as problem:
        raise RecipeError(f"serving.host is '{host}', which is no address of this machine: {problem}.") from problem
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    return family, tuple(address)


def _in_words(problem: OSError, host: str, port: int) -> MachineError | RecipeError:
    if problem.errno == errno.EADDRNOTAVAIL:
        return RecipeError(f"serving.host is '{host}', which is no address of this machine. Try 127.0.0.1.")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        other = free.getsockname()[1]
    if problem.errno == errno.EADDRINUSE:
        return MachineError(
            f"Port {port} of {host} is in use by another program. Stop it, or choose another port: {other} is free "
            f"(serving.port: {other})."
        )
    if problem.errno == errno.EACCES:
        return MachineError(f"Port {port} needs an administrator's rights. Choose one above 1023: {other} is free.")
    return MachineError(f"Port {port} of {host} cannot be opened: {problem}.")
