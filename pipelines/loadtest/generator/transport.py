"""Defines the interface of the load generator's transports: one file each for HTTP/1.1 and gRPC."""

from __future__ import annotations

import re
from typing import Protocol
from urllib.parse import urlsplit

from pipelines.base.errors import UserError
from pipelines.loadtest.recording import Outcome
from pipelines.loadtest.request import UrlCall

SCHEMES = ("http", "https", "grpc", "grpcs")
MAX_ARRIVING = 512 * 2**20
"""Bytes of unfinished answers, of a whole transport. An answer above it fails: the generator's memory is bounded, and
a server that is read more slowly than it answers would not be measured any more."""
TOO_MUCH = f"more than {MAX_ARRIVING:,} bytes of unfinished answers"


class Finished(Protocol):
    """Called once for each request that was not aborted; times are monotonic nanoseconds.

    ``first_ns`` is when the first piece of the answer had arrived, 0 where the transport does not see it.
    """

    def __call__(
        self, index: int, outcome: Outcome, done_ns: int, answer: bytes, error: str, first_ns: int = 0
    ) -> None: ...


class Transport(Protocol):
    """Sends bodies made beforehand; request ``index`` carries body ``index % number of bodies``.

    ``send`` returns at once and never calls ``finished`` itself: only the event loop does, later.
    After ``abort`` a request never finishes. ``close`` ends every connection.
    """

    def send(self, index: int) -> None: ...
    def abort(self, index: int) -> None: ...
    async def close(self) -> None: ...


def check_call(call: UrlCall) -> None:
    """Refuses a call that cannot be sent, or that could smuggle lines into a request.

    Raises:
        UserError: the address is not SCHEME://HOST:PORT, with a scheme of SCHEMES, or the method, the path or a
            header holds characters that it may not hold. The value of a header is not shown: it may be a secret.
    """
    try:
        parts = urlsplit(call.url)
        usable = parts.scheme in SCHEMES and parts.hostname and parts.port
    except ValueError:  # the port is not a number
        usable = False
    if not usable:
        raise UserError(f"cannot send to {call.url}. Give http://HOST:PORT, https://, grpc:// or grpcs://.")
    if not re.fullmatch(r"/[!-~]*", call.path):
        raise UserError(f"not a path. Received: {call.path!r}. Begin with / and leave out blanks.")
    if not re.fullmatch(r"[A-Z]+", call.method) or call.method == "CONNECT":
        raise UserError(f"not a method. Received: {call.method!r}. Choose one like GET, POST or PUT.")
    sent = [("Host", call.authority), *(("Content-Type", one) for one in call.content_types), *call.fields]
    for name, value in sent:
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name) or not re.fullmatch(r"[ -~]*", value):
            raise UserError(f"not a header. Received: one named {name!r}. Use printable ASCII characters only.")
