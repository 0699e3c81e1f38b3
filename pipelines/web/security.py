"""Lets in whoever has the start-up token, from this page only, and bounds what they send.

Another site's page can make a browser send requests to loopback, and its own name can point there (DNS rebinding): so
Host and Origin must be this page's. Other users of the machine reach the port, too: so the first request must have the
token of the start, and later ones a cookie. What changes anything, or costs anything, is a POST with a header that only
a script of this page can know.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.base.files import MIB
from serving.launch import LOOPBACK

MAX_BODY_BYTES = 16 * MIB
DRAINED_BYTES = 64 * MIB
"""So much of a body that is too large is read and dropped, because a browser reads no answer before it has sent."""
BODY_S = 30.0
MOST_REQUESTS = 64
"""Requests at the same time, streams of events among them. Only who may use the page takes one of the places."""
CSRF_HEADER = "x-slipway-csrf"
SAFE = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Plotly sets styles of elements; scripts are files of this page only. Models in the browser run in frames, which have
a policy of their own (:mod:`pipelines.web.runtimes`)."""
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",  # with the one above, a page may have threads with shared memory
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
NO_TOKEN = "Open the address that `slipway web` printed: it has the token of this start.\n"  # noqa: S105 - a sentence


def _secret() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True)
class Keys:
    """The secrets of one start: ``token`` is in the address, ``session`` in the cookie, ``csrf`` in the page."""

    token: str = field(default_factory=_secret, repr=False)
    session: str = field(default_factory=_secret, repr=False)
    csrf: str = field(default_factory=_secret, repr=False)


def same(one: str | None, other: str) -> bool:
    """Compare two secrets in a time that does not depend on where they differ."""
    return secrets.compare_digest((one or "").encode(), other.encode())


class Security:
    """The outermost part of the app. ``port`` is where it listens, on loopback."""

    def __init__(self, app: ASGIApp, keys: Keys, port: int) -> None:
        self._app, self._keys = app, keys
        self._hosts = {f"{LOOPBACK}:{port}", f"localhost:{port}"}
        # Cookies are shared by all ports of a host: two pages need two names.
        self._cookie = f"slipway-web-{port}"
        self._busy = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"this page speaks HTTP only. Received: {scope['type']}")
        extra: dict[str, str] = {}

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**HEADERS, **extra}.items():
                    headers.setdefault(name, value)
            await send(message)

        connection = HTTPConnection(scope)
        response = self._refusal(connection)
        if response is None and self._has_token(connection):
            extra["set-cookie"] = f"{self._cookie}={self._keys.session}; Path=/; HttpOnly; SameSite=Strict"
        elif response is None and not same(connection.cookies.get(self._cookie), self._keys.session):
            response = PlainTextResponse(NO_TOKEN, 403)
        elif response is None and scope["method"] not in SAFE:
            response = self._forged(connection.headers)
        if response is None and self._busy >= MOST_REQUESTS:
            response = PlainTextResponse(f"{MOST_REQUESTS} requests are answered already.\n", 503)
        if response is not None:
            await response(scope, receive, guarded)
            return
        self._busy += 1
        try:
            if scope["method"] not in SAFE:
                body = await _read(connection.headers, receive)
                if isinstance(body, Response):
                    await body(scope, receive, guarded)
                    return
                receive = _again(body, receive)
            await self._app(scope, receive, guarded)
        finally:
            self._busy -= 1

    def _refusal(self, connection: HTTPConnection) -> Response | None:
        """Refuse what comes from another site."""
        headers = connection.headers
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts:
            return PlainTextResponse("This page has another address.\n", 403)
        if origin is not None and origin != f"http://{host}":
            return PlainTextResponse("Requests come from this page only.\n", 403)
        # A link of another site may lead to the page itself; whoever follows it needs the token.
        if connection.scope["path"] != "/" and headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return PlainTextResponse("Requests come from this page only.\n", 403)
        return None

    def _has_token(self, connection: HTTPConnection) -> bool:
        path, method = connection.scope["path"], connection.scope["method"]
        return path == "/" and method in SAFE and same(connection.query_params.get("token"), self._keys.token)

    def _forged(self, headers: Mapping[str, str]) -> Response | None:
        """Refuse a request that no script of this page has made."""
        if "origin" not in headers or not same(headers.get(CSRF_HEADER), self._keys.csrf):
            return PlainTextResponse("Reload the page: this request has not its CSRF token.\n", 403)
        return None


async def _read(headers: Mapping[str, str], receive: Receive) -> bytes | Response:
    """Return the body, or the answer to one that is too large or too slow."""
    told = headers.get("content-length", "0")
    parts, size = [], int(told) if told.isdecimal() and int(told) > MAX_BODY_BYTES else 0
    received = 0
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return PlainTextResponse("The request ended early.\n", 400)
                part = message.get("body", b"")
                received += len(part)
                size = max(size, received)
                if size <= MAX_BODY_BYTES:
                    parts.append(part)
                else:
                    parts.clear()
                if not message.get("more_body") or received > DRAINED_BYTES:
                    break
    except TimeoutError:
        return PlainTextResponse(f"The request was not complete within {BODY_S:g} s.\n", 408)
    if size > MAX_BODY_BYTES:
        return PlainTextResponse(f"At most {MAX_BODY_BYTES // MIB} MiB are read. Received: more.\n", 413)
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a function that gives the app the body, and then what follows it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
