"""The door that every request passes: it gets an id and shows a key, and failures are told in the caller's dialect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sonneteer.records import Key
from sonneteer.serving import anthropic_answers, openai_answers
from sonneteer.serving.keys import Keys
from sonneteer.serving.limits import Meters
from sonneteer.serving.refusals import OVERLOADED, Refusal, refusal_of
from sonneteer.serving.turns import STOPPING
from sonneteer.serving.wire import Dialect, error_reply, new_id

HEALTH = "/health"
USUAL_ROLES = {"admin", "client"}
ANY_ROLE = {"admin", "client", "reviewer"}
ROLES = {"/metrics": {"admin"}, "/v1/feedback": ANY_ROLE, "/openapi.json": ANY_ROLE}
"""Who may do what is not everybody's; all the rest is for clients and admins."""
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


class Porter:
    """ASGI middleware around all routes."""

    def __init__(self, app: ASGIApp, keys: Keys, meters: Meters) -> None:
        self._app = app
        self._keys = keys
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or say why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        outgoing = _Reply(new_id("req_"), send)
        scope.setdefault("state", {})["request_id"] = outgoing.request_id
        headers = Headers(scope=scope)
        try:
            scope["state"]["key"] = key = self._checked(scope["path"], headers)
            if key is not None:
                limits = dialect_of(scope["path"], headers).limits
                outgoing.more = lambda: [limits(level) for level in self._meters.levels(key)]
                self._meters.admit(key)
            await self._app(scope, receive, outgoing.send)
        except ClientDisconnect:
            return
        except asyncio.CancelledError:  # the server is being stopped
            refusal = Refusal(OVERLOADED, STOPPING, code="overloaded")
        except Exception as problem:
            refusal = refusal_of(problem, outgoing.request_id)
        else:
            return
        if not outgoing.is_begun:
            reply = error_reply(refusal, dialect_of(scope["path"], headers), outgoing.request_id)
            await reply(scope, receive, outgoing.send)

    def _checked(self, path: str, headers: Headers) -> Key | None:
        """The key that opens the door; None where no key is needed. Raises Refusal for who may not come in."""
        if path == HEALTH:
            return None
        if not self._keys.names:
            _check_neighbour(headers)
            return None
        secret = _secret(headers)
        if not secret:
            raise Refusal(401, "An API key is needed, as `x-api-key: KEY` or as `Authorization: Bearer KEY`.")
        key = self._keys.key_of(secret)
        if key is None:
            raise Refusal(401, "This API key is not known here.")
        if key.role not in ROLES.get(path, USUAL_ROLES):
            raise Refusal(403, f"The key '{key.name}' is a {key.role}'s, which may not do this.")
        return key


class _Reply:
    """Puts the request's id on whatever is sent, and what the key has left of its minute."""

    def __init__(self, request_id: str, send: Send) -> None:
        self.request_id = request_id
        self.is_begun = False
        self.more: Callable[[], list[dict[str, str]]] = list
        """Further headers, as they are when the answer begins."""
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_begun = True
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            for told in self.more():
                headers.update(told)
            headers["request-id"] = headers["x-request-id"] = self.request_id
        await self._send(message)


def dialect_of(path: str, headers: Mapping[str, str]) -> Dialect:
    """Whose API the caller speaks: the path tells, or else the headers that only Anthropic's clients send."""
    if path.startswith("/v1/chat/"):
        return openai_answers.DIALECT
    if path.startswith("/v1/messages") or speaks_anthropic(headers):
        return anthropic_answers.DIALECT
    return openai_answers.DIALECT


def speaks_anthropic(headers: Mapping[str, str]) -> bool:
    """Whether the headers are those of Anthropic's clients."""
    return "anthropic-version" in headers or "x-api-key" in headers


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches this host name or address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") in ("localhost", "ip6-localhost")


def _check_neighbour(headers: Headers) -> None:
    """Without keys, only programs of this machine may ask: no web page that leads its visitor's browser here."""
    for header in ("host", "origin"):
        value = headers.get(header)
        if value and not is_loopback(_host_of(value, header)):
            raise Refusal(
                403,
                f"This server has no API keys, so it only answers this machine; the request's {header} is "
                f"{value[:100]!r}. Create a key to open it.",
            )


def _host_of(value: str, header: str) -> str:
    try:
        return urlsplit(f"//{value}" if header == "host" else value).hostname or ""
    except ValueError:
        return ""


def _secret(headers: Mapping[str, str]) -> str:
    """The key that the caller shows; x-api-key comes first, as in Anthropic's API."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return str(headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else ""))
