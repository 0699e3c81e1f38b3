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

UPLOAD_S = 5.0
"""How long a body that is on its way may still take after a signal to end: a container has ten seconds in all."""
_LOOK_S = 0.02

_HTML = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"


def html(status: HTTPStatus) -> web.Response:
    """A page that says no more than the status, after which the connection is closed: libevent's way to refuse."""
    text = _HTML.format(status.phrase).encode()
    response = web.Response(status=status, reason=status.phrase, body=text, content_type="text/html")
    response.force_close()
    return response


class Connection(web.RequestHandler):
    """One connection; it remembers the body of the newest request whose answer has begun."""

    __slots__ = ("_ends", "_is_answering", "_last_asked")

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._ends = False  # after the last answer
        self._is_answering = False
        self._last_asked: Any = None

    def begin_answer(self, payload: Any) -> None:
        """The answer to a request with this body begins."""
        self._last_asked, self._is_answering = payload, True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Closes a connection that has not sent the head of its first request in time."""
        super().connection_made(transport)  # starts a timer, which looks at this once more when it ends
        self._keepalive_timeout = KEEP_ALIVE_S  # type: ignore[misc]  # a slot of the base class, which mypy does not read

    def data_received(self, data: bytes) -> None:
        """Ends a body in the middle of which there is something else: aiohttp would go on waiting for the rest."""
        super().data_received(data)
        if self._messages and self.is_receiving and not isinstance(self._messages[-1][0], RawRequestMessage):
            self.break_off(web.RequestPayloadError("malformed"))

    def eof_received(self) -> bool:
        """Whether the connection stays open: a client that has sent all it will may still wait for its answers."""
        newest = self._messages[-1][1] if self._messages else self._last_asked
        # Between an answer and the wait for the next request there is a turn of the event loop: a connection that
        # ends in it has nothing to wait for. To take it for busy would keep it, and its last body, for ever.
        self._ends = bool(self._messages or self._is_answering) and newest is not None and newest.is_eof()
        return self._ends

    def connection_lost(self, exc: BaseException | None) -> None:
        """Lets the last body go: it refers to this connection, and both would wait for the garbage collector."""
        super().connection_lost(exc)
        self._last_asked = None

    @property
    def _is_idle(self) -> bool:
        return self._waiter is not None and not self._messages

    @property
    def is_receiving(self) -> bool:
        """Whether a request is being answered whose body has not arrived."""
        return self._current_request is not None and self._last_asked is not None and not self._last_asked.is_eof()

    def end(self) -> None:
        """Closes the connection when what has begun on it is answered."""
        if self.is_receiving:
            self._ends = True  # aiohttp reads nothing more once it is to be closed
        elif self._is_idle:
            self.force_close()  # aiohttp would do so in the end
        else:
            self.close()

    def break_off(self, reason: Exception) -> None:
        """Ends a body that has not arrived."""
        self._last_asked.set_exception(reason)
        self._last_asked.feed_eof()  # else aiohttp would read on, until there is no more

    async def finish_response(self, *answer: Any) -> Any:
        """Closes a connection that is to end after its last answer."""
        done = await super().finish_response(*answer)
        self._is_answering = False
        if self._ends and not self._messages:
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

    def pre_shutdown(self) -> None:
        """Ends every connection, those that are idle now."""
        for connection in list(self._connections):
            connection.end()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Waits for the bodies that are on their way, and then, ``timeout`` seconds, for the answers."""
        last = self._loop.time() + UPLOAD_S
        while self._loop.time() < last and any(connection.is_receiving for connection in self._connections):
            await asyncio.sleep(_LOOK_S)
        for connection in list(self._connections):
            if connection.is_receiving:
                connection.break_off(ConnectionResetError("the server ends"))
        await super().shutdown(timeout)
