"""An HTTP request that is still arriving, and the bytes of an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from serving.limits import Share
from serving.tf_serving.base.errors import ServingError
from serving.tf_serving.rest_api.body import BodyTooLargeError

_HTML = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"


class MalformedError(Exception):
    """The bytes are not HTTP/1.0 or HTTP/1.1, or a head is larger than the limit."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; if it ``closes``, the connection takes no more requests."""

    status: int
    reason: str
    body: bytes
    content_type: str
    headers: dict[str, str] = field(default_factory=dict)
    closes: bool = False

    def head(self, date: str, connection: str) -> bytes:
        """Build the status line and headers; an empty ``connection`` leaves that header out."""
        lines = [
            f"HTTP/1.1 {self.status} {self.reason}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            f"Date: {date}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        if connection:
            lines.append(f"Connection: {connection}")
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1")


def html(status: HTTPStatus) -> Response:
    """Make a page that shows only the status and closes the connection: libevent refuses requests like this."""
    return Response(status, status.phrase, _HTML.format(status.phrase).encode(), "text/html", closes=True)


class Request:
    """One request, made when its head is complete; its body follows, up to a limit.

    ``refused`` is the answer if the head alone is reason to refuse the request. ``share`` counts its bytes; who takes
    the body gives them back.
    """

    def __init__(
        self,
        method: str,
        version: str,
        target: bytes,
        headers: dict[bytes, bytes],
        limit: int,
        send: Callable[[bytes], None],
        share: Share,
    ) -> None:
        self.method, self.version = method, version
        self.target = target.decode("latin-1")
        self.headers = headers
        self.keeps_alive = False
        self.is_complete = False  # the whole body has arrived
        self.is_gone = False  # the client left; other threads read this
        self.refused: HTTPStatus | None = None
        self.send = send  # sends an interim answer
        self.share = share
        self._limit = limit
        self._is_taken = False
        self._body: bytes | bytearray = b""
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def header(self, name: bytes) -> str:
        """Return the value of the first header of this name (in lower case); empty if there is none."""
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def is_too_large(self) -> bool:
        """True if Content-Length exceeds the limit."""
        return int(self.headers.get(b"content-length", 0)) > self._limit

    async def body(self) -> bytes:
        """Return the whole body; it can be taken only once.

        Raises:
            BodyTooLargeError: the body, or its Content-Length, exceeds the limit.
            Exception: the error given to :meth:`break_off`.
        """
        if self.is_too_large:
            raise BodyTooLargeError
        if not self.is_complete and self._error is None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._error is not None:
            raise self._error
        body, self._body = self._body, b""
        self._is_taken = True
        return bytes(body)

    # -- called by the connection ---------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the body."""
        if self._error is not None:
            return
        if len(self._body) + len(data) > self._limit:
            self.break_off(BodyTooLargeError())
        elif not self.share.add(len(data)):
            self.break_off(ServingError("RESOURCE_EXHAUSTED", self.share.held.refusal))
        elif not self._body:
            self._body = data
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)  # a list of one-byte pieces would take forty times their size
            self._body += data

    def complete(self) -> None:
        """Mark the body as complete."""
        self.is_complete = True
        self._wake()

    def break_off(self, error: Exception) -> None:
        """End an incomplete body with an error: the rest will not come, or is not wanted."""
        if not self.is_complete:
            self._error = self._error or error
            self.drop()
            self._wake()

    def drop(self) -> None:
        """Let the body go, unless it has been taken."""
        if not self._is_taken:
            self._body = b""
            self.share.give_back()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
