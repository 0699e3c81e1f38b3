"""Describes the requests of a load test of any server: where and how they are sent, and which answers count."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from serving.clients import Call

WITH_BODY = ("POST", "PUT", "PATCH")
"""Methods whose requests carry a body: they tell its length even where it is empty."""


@dataclass(frozen=True, slots=True)
class Tls:
    """The trust in a server over TLS, and the own certificate for it; files are PEM.

    ``name`` is the host that the server's certificate must name. ``key`` is only needed if it is not in ``cert``.
    """

    name: str
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class UrlCall(Call):
    """A call of any server; the defaults are those of a model's protocol.

    ``fields`` replaces ``headers``: names may repeat, and keep their order. ``authority`` is the host that a request
    names. ``content_types`` has one for each body, and yields to a field of that name. ``success`` is an inclusive
    range of HTTP statuses. ``socket`` is the file of a Unix socket.
    """

    method: str = "POST"
    fields: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    authority: str = ""
    content_types: tuple[str, ...] = ()
    success: tuple[int, int] = (200, 299)
    tls: Tls | None = None
    socket: str | None = None

    @property
    def is_grpc(self) -> bool:
        return urlsplit(self.url).scheme in ("grpc", "grpcs")


def complete(call: Call) -> UrlCall:
    """Return the call with everything that a transport needs to know; a call that has it stays as it is."""
    if isinstance(call, UrlCall):
        return call
    return UrlCall(call.url, call.path, fields=tuple(call.headers.items()), authority=urlsplit(call.url).netloc)
