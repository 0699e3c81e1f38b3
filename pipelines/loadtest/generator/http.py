"""HTTP/1.1 over raw asyncio protocols: a pool of keep-alive connections, requests as ready-made bytes.

A library's client costs ten to a hundred times the CPU of this, on the cores that the server under test needs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from http import HTTPStatus
from itertools import repeat
from typing import cast

from pipelines.loadtest.generator.connector import Connector
from pipelines.loadtest.generator.http_response import BadResponseError, ResponseReader
from pipelines.loadtest.generator.sockets import StampedTransport
from pipelines.loadtest.generator.transport import MAX_ARRIVING, TOO_MUCH, Finished
from pipelines.loadtest.recording import Outcome
from pipelines.loadtest.request import WITH_BODY, UrlCall

_IDLE = -1


def request_bytes(call: UrlCall, body: bytes, content_type: str = "") -> bytes:
    """Returns one request. The call has passed :func:`pipelines.loadtest.generator.transport.check_call`."""
    given = {name.lower(): value for name, value in call.fields}
    lines = [f"{call.method} {call.path} HTTP/1.1", f"Host: {given.get('host', call.authority)}"]
    own = ("host", "content-length", "transfer-encoding")
    lines += [f"{name}: {value}" for name, value in call.fields if name.lower() not in own]
    if content_type and "content-type" not in given:
        lines.append(f"Content-Type: {content_type}")
    if body or call.method in WITH_BODY:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


class HttpTransport:
    """A connection for each request in flight; the one that was used last is used next."""

    def __init__(self, call: UrlCall, bodies: Sequence[bytes], finished: Finished) -> None:
        self._connector = Connector(call, "http/1.1")
        types = call.content_types or repeat("")
        self._requests = [request_bytes(call, body, one) for body, one in zip(bodies, types, strict=False)]
        lowest, highest = call.success
        self.success = range(lowest, highest + 1)
        self.with_bodies = call.method != "HEAD"  # answers have some
        self._loop = asyncio.get_running_loop()
        self._busy: dict[int, _HttpConnection | asyncio.Task[None]] = {}
        self.idle: list[_HttpConnection] = []
        self.arriving = 0  # bytes of answers that are not whole yet
        self._finished = finished

    def send(self, index: int) -> None:
        if self.idle:
            connection = self.idle.pop()
            self._busy[index] = connection
            connection.send(index, self._requests[index % len(self._requests)])
        else:
            self._busy[index] = self._loop.create_task(self._open(index))

    async def _open(self, index: int) -> None:
        try:
            connection = _HttpConnection(self)
            await self._connector.connect(connection)
        except OSError as error:
            self.finish(index, Outcome.BROKEN, time.monotonic_ns(), b"", f"cannot connect: {_text(error)}")
            return
        self._busy[index] = connection
        connection.send(index, self._requests[index % len(self._requests)])

    def abort(self, index: int) -> None:
        carrier = self._busy.pop(index)
        if isinstance(carrier, _HttpConnection):
            carrier.abort()
        else:
            carrier.cancel()

    def finish(self, index: int, outcome: Outcome, done_ns: int, answer: bytes, error: str, first_ns: int = 0) -> None:
        del self._busy[index]
        self._finished(index, outcome, done_ns, answer, error, first_ns)

    async def close(self) -> None:
        for index in list(self._busy):
            self.abort(index)
        for connection in self.idle:
            connection.abort()
        self.idle.clear()


class _HttpConnection(asyncio.Protocol):
    """One connection; carries one request at a time."""

    def __init__(self, pool: HttpTransport) -> None:
        self._pool = pool
        self._reader = ResponseReader(pool.with_bodies)
        self._index = _IDLE
        self._transport: StampedTransport
        self._lost = False
        self._first_ns = 0  # of the answer at hand
        self._arriving = 0  # its bytes so far

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(StampedTransport, transport)

    def send(self, index: int, request: bytes) -> None:
        self._index = index
        if self._lost:  # between the connect and the first request; from the pool, lost ones are removed
            self._fail(Outcome.BROKEN, "the connection was closed as soon as it was made")
        else:
            self._transport.write(request)

    def abort(self) -> None:
        self._index = _IDLE
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        done_ns = self._transport.received_ns
        if self._index == _IDLE:  # an answer to nothing: the connection cannot be trusted
            self._leave_pool()
            self._transport.abort()
            return
        if not self._first_ns:
            self._first_ns = done_ns
        try:
            complete = self._reader.feed(data)
        except BadResponseError as error:
            self._fail(Outcome.BROKEN, str(error))
            self._transport.abort()
            return
        if complete:
            self._answered(done_ns)
            return
        self._pool.arriving += len(data)
        self._arriving += len(data)
        if self._pool.arriving > MAX_ARRIVING:
            self._fail(Outcome.BROKEN, TOO_MUCH)
            self._transport.abort()

    def _forget_arriving(self) -> None:
        self._pool.arriving -= self._arriving
        self._arriving = 0

    def _answered(self, done_ns: int) -> None:
        reader, index = self._reader, self._index
        status, body, reusable = reader.status, reader.body, reader.reusable and not self._lost
        first_ns, self._first_ns = self._first_ns, 0
        self._index = _IDLE
        self._forget_arriving()
        reader.reset()
        if reusable:
            self._pool.idle.append(self)
        else:
            self._transport.close()
        if status in self._pool.success:
            self._pool.finish(index, Outcome.ANSWERED, done_ns, body, "", first_ns)
        else:
            self._pool.finish(index, Outcome.REFUSED, done_ns, b"", f"HTTP {status}: {_said(status, body)}")

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        self._forget_arriving()
        if self._index == _IDLE:
            self._leave_pool()
        elif error is None and self._reader.end_of_stream():
            self._answered(time.monotonic_ns())
        else:
            reason = _text(error) if error else "closed by the server"
            when = "within the answer" if self._reader.status else "before an answer"
            self._fail(Outcome.BROKEN, f"connection lost {when}: {reason}")

    def _fail(self, outcome: Outcome, text: str) -> None:
        index, self._index = self._index, _IDLE
        self._pool.finish(index, outcome, time.monotonic_ns(), b"", text)

    def _leave_pool(self) -> None:
        if self in self._pool.idle:
            self._pool.idle.remove(self)


def _said(status: int, body: bytes) -> str:
    """Returns the words of an answer that is no success; a page of HTML says no more than the status' name."""
    if 300 <= status < 400:
        return "redirects are not followed"
    known = status in list(HTTPStatus)
    if known and (not body or body.lstrip()[:1] == b"<"):
        return HTTPStatus(status).phrase
    return body[:200].decode("utf-8", "replace")


def _text(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
