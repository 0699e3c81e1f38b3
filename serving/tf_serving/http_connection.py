"""HTTP connections as tensorflow/serving (libevent) treats them, where aiohttp would do otherwise."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawRequestMessage

LONGEST_LINE = 65_536
"""Bytes of the first line, or of one header: eight times aiohttp's own limit. libevent has none."""
KEEP_ALIVE_S = 3630.0
"""How long a connection may stay silent after an answer; aiohttp's default, longer than any proxy's."""

_HTML = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"


def html(status: HTTPStatus) -> web.Response:
    """A page that says no more than the status, after which the connection is closed: libevent's way to refuse."""
    text = _HTML.format(status.phrase).encode()
    response = web.Response(status=status, reason=status.phrase, body=text, content_type="text/html")
    response.force_close()
    return response


class Connection(web.RequestHandler):
    """One connection; ``last_asked`` is the body of the newest request that is being answered."""

    __slots__ = ("_half_closed", "last_asked")

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._half_closed = False
        self.last_asked: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Closes a connection that has not sent the head of its first request in time."""
        super().connection_made(transport)  # starts a timer, which looks at this once more when it ends
        self._keepalive_timeout = KEEP_ALIVE_S  # type: ignore[misc]  # a slot of the base class, which mypy does not read

    def data_received(self, data: bytes) -> None:
        """Ends a body in the middle of which there is something else: aiohttp would go on waiting for the rest."""
        super().data_received(data)
        body = self.last_asked
        if (
            self._messages
            and not isinstance(self._messages[-1][0], RawRequestMessage)
            and not (body is None or body.is_eof())
        ):
            body.set_exception(web.RequestPayloadError("malformed"))
            body.feed_eof()  # else aiohttp would read on, until there is no more

    def eof_received(self) -> bool:
        """Whether the connection stays open: a client that has sent all it will may still wait for its answers."""
        is_idle = self._waiter is not None and not self._messages
        newest = self._messages[-1][1] if self._messages else self.last_asked
        self._half_closed = not is_idle and newest is not None and newest.is_eof()
        return self._half_closed

    async def finish_response(self, *answer: Any) -> Any:
        """Closes a half-closed connection after its last answer."""
        done = await super().finish_response(*answer)
        if self._half_closed and not self._messages:
            self.close()
        return done

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What is no HTTP gets a page without its own bytes in it, and no traceback in the log."""
        if isinstance(exc, HttpProcessingError):
            self.logger.debug("Malformed request from %s: %.200r", request.remote, exc.message)
            return html(HTTPStatus.BAD_REQUEST)
        return super().handle_error(request, status, exc, message)


class HttpServer(web.Server):
    """aiohttp's server of plain requests, with connections of this kind.

    ``head_s`` is how many seconds the head of a connection's first request may take.
    """

    def __init__(self, handler: Any, *, head_s: float, **settings: Any) -> None:
        super().__init__(handler, **settings)
        self._head_s = head_s

    def __call__(self) -> Connection:
        """A connection that was accepted."""
        return Connection(
            self,
            loop=self._loop,
            keepalive_timeout=self._head_s,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            **self._kwargs,
        )
