"""Sends unary gRPC calls as ready-made bytes over one HTTP/2 connection, as a gRPC channel does.

A library's client costs five to ten times the CPU of this, on the cores that the server under test needs.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from pipelines.loadtest.generator.connector import Connector
from pipelines.loadtest.generator.sockets import StampedTransport
from pipelines.loadtest.generator.transport import MAX_ARRIVING, TOO_MUCH, Finished
from pipelines.loadtest.recording import Outcome
from pipelines.loadtest.request import UrlCall
from serving.http2 import frames
from serving.http2.connection import Connection
from serving.http2.frames import Code, Http2Error, StreamError, code_name
from serving.http2.grpc_messages import CODES, CONTENT_TYPE, MessageError, decoded_text, message, prefix
from serving.http2.header_blocks import Fields, plain_block, repeated_block

_WINDOW = frames.LARGEST_WINDOW
_LAST_STREAM = 2**31 - 3


@dataclass(frozen=True, slots=True)
class _Answer:
    """The meaning of one block of an answer's fields."""

    http_status: bytes
    grpc_status: bytes
    text: bytes
    encoding: bytes


def _answer(fields: Fields) -> _Answer:
    given = dict(fields)
    return _Answer(
        given.get(b":status", b""),
        given.get(b"grpc-status", b""),
        given.get(b"grpc-message", b""),
        given.get(b"grpc-encoding", b"identity"),
    )


@dataclass(slots=True)
class _Stream:
    index: int
    first_ns: int = 0
    size: int = 0  # bytes of the body so far
    encoding: bytes = b"identity"
    http_status: bytes = b""
    body: list[bytes | bytearray] = field(default_factory=list)


class GrpcTransport:
    """Sends all requests over one HTTP/2 connection; makes another one when it is lost."""

    def __init__(self, call: UrlCall, bodies: Sequence[bytes], finished: Finished) -> None:
        self._connector = Connector(call, "h2")
        self.fields = [
            (b":method", b"POST"),
            (b":scheme", b"https" if call.tls else b"http"),
            (b":path", call.path.encode("ascii")),
            (b":authority", call.authority.encode("ascii")),
            (b"te", b"trailers"),
            (b"content-type", CONTENT_TYPE),
            (b"user-agent", b"slipway-loadtest"),
            *((name.lower().encode("ascii"), value.encode("ascii")) for name, value in call.fields),
        ]
        self.messages = [prefix(len(body)) + body for body in bodies]
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, None] = {}  # requests without a connection, in order
        self._connecting: asyncio.Task[None] | None = None
        self._connection: _GrpcConnection | None = None
        self._opening: _GrpcConnection | None = None  # still without the server's settings
        self._alive: set[_GrpcConnection] = set()
        self.arriving = 0  # bytes of unfinished answers
        self._carried: dict[int, tuple[_GrpcConnection, int]] = {}
        self._refused: set[int] = set()
        self._finished = finished

    def send(self, index: int) -> None:
        connection = self._connection
        if connection is not None and connection.has_room():
            self._carried[index] = (connection, connection.request(index))
            return
        self._waiting[index] = None
        self._connect_if_needed()

    def _connect_if_needed(self) -> None:
        if self._waiting and self._connection is None and self._opening is None and self._connecting is None:
            self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await self._connector.connect(_GrpcConnection(self))
        except OSError as error:
            self._fail_waiting(f"cannot connect: {error.strerror or error}")
        finally:
            self._connecting = None

    def _fail_waiting(self, text: str) -> None:
        waiting, self._waiting = self._waiting, {}
        for index in waiting:
            self._finished(index, Outcome.BROKEN, time.monotonic_ns(), b"", text)

    def open(self, connection: _GrpcConnection) -> None:
        """Take the open connection; it can be used when the server's settings have come."""
        self._opening = connection
        self._alive.add(connection)

    def use(self, connection: _GrpcConnection) -> None:
        """Note that the connection takes requests now, or more of them."""
        if self._opening is connection:
            self._opening = None
        self._connection = connection
        while self._waiting and connection.has_room():
            index = next(iter(self._waiting))
            del self._waiting[index]
            self._carried[index] = (connection, connection.request(index))

    def drop(self, connection: _GrpcConnection, text: str) -> None:
        """Stops using the connection. Waiting requests get another one, unless this one carried none."""
        if connection not in (self._opening, self._connection):
            return
        self._opening = self._connection = None
        if connection.is_unused():
            self._fail_waiting(text)  # the next one would fail, too
        else:
            self._connect_if_needed()

    def closed(self, connection: _GrpcConnection) -> None:
        """Forgets a connection whose socket is closed."""
        self._alive.discard(connection)

    def abort(self, index: int) -> None:
        if index in self._waiting:
            del self._waiting[index]
        else:
            connection, stream = self._carried.pop(index)
            connection.cancel(stream)

    def may_repeat(self, index: int) -> bool:
        """Tells whether a request that was refused unprocessed may be sent again: once, as gRPC's clients do."""
        return index not in self._refused

    def repeat(self, index: int) -> None:
        """Puts a request that was refused behind those that wait for room."""
        self._refused.add(index)
        del self._carried[index]
        self._waiting[index] = None
        self._connect_if_needed()

    def finish(self, index: int, outcome: Outcome, done_ns: int, answer: bytes, text: str, first_ns: int) -> None:
        del self._carried[index]
        self._finished(index, outcome, done_ns, answer, text, first_ns)

    async def close(self) -> None:
        self._waiting.clear()
        if self._connecting is not None:
            self._connecting.cancel()
        for connection in list(self._alive):
            connection.leave()
        self._carried.clear()


class _GrpcConnection(Connection[_Answer]):
    """A client's end: opens a stream for each request."""

    largest_push = 0  # RFC 9113, 6.5.2: a server may not ask for pushes

    def __init__(self, channel: GrpcTransport) -> None:
        super().__init__(_WINDOW, _WINDOW, _answer, {frames.ENABLE_PUSH: 0})
        self._channel = channel
        self._streams: dict[int, _Stream] = {}
        self._next = 1
        self._is_draining = False
        self._blocks_out: deque[bytes] = deque()  # the next block, and the one for all later requests

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._stamped = cast(StampedTransport, transport)
        self._stamped.write(frames.PREFACE)
        super().connection_made(transport)
        self._channel.open(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._channel.closed(self)

    def has_room(self) -> bool:
        return len(self._streams) < self.max_streams and not self._is_draining

    def is_unused(self) -> bool:
        """Tells whether it has carried no request."""
        return self._next == 1

    def request(self, index: int) -> int:
        """Sends a request, and returns the number of its stream."""
        stream = self._next
        self._next = stream + 2
        self._streams[stream] = _Stream(index)
        block = self._blocks_out.popleft() if len(self._blocks_out) > 1 else self._blocks_out[0]
        head = frames.frame(frames.HEADERS, frames.END_HEADERS, stream, block)
        messages = self._channel.messages
        self.outgoing.send(stream, head, messages[index % len(messages)])
        if stream >= _LAST_STREAM:
            self._drain("the connection ran out of streams")
        return stream

    def cancel(self, stream: int) -> None:
        """Cancels a request."""
        found = self._streams.pop(stream, None)
        if found is None:
            return
        self._channel.arriving -= found.size
        if not self.is_lost:
            self.reset(stream, Code.CANCEL)
            self._go_on()

    def leave(self) -> None:
        """Ends the connection, and forgets its requests."""
        self._streams.clear()
        self._is_draining = True
        self.transport.abort()

    def on_settings(self) -> None:
        if not self._blocks_out:
            self._blocks_out.extend(repeated_block(self._channel.fields, self.table_size))
        elif self.table_update:  # the new table is smaller than the one that the blocks refer to
            plain = plain_block(self._channel.fields)
            self._blocks_out = deque((self.table_update + plain, plain))
        self.table_update = b""
        if not self._is_draining:
            self._channel.use(self)

    def on_headers(self, stream: int, parsed: _Answer, ends: bool) -> None:
        if self.is_idle(stream):
            raise Http2Error(Code.PROTOCOL_ERROR, f"an answer on stream {stream}, which is idle")
        found = self._streams.get(stream)
        if found is None:
            return
        found.first_ns = found.first_ns or self._stamped.received_ns
        is_first = not found.http_status
        if is_first != bool(parsed.http_status) or not (is_first or ends):
            raise StreamError(stream, Code.PROTOCOL_ERROR, "fields that are neither an answer's first nor its last")
        if is_first and parsed.http_status[:1] == b"1":  # informational (8.1)
            if ends:
                raise StreamError(stream, Code.PROTOCOL_ERROR, f"an answer of status {parsed.http_status!r} alone")
            return
        if is_first:
            found.http_status, found.encoding = parsed.http_status, parsed.encoding
        if ends:
            self._ended(stream, found, parsed)

    def on_data(self, stream: int, data: bytes, ends: bool) -> None:
        found = self._streams[stream]
        if not found.http_status:
            raise StreamError(stream, Code.PROTOCOL_ERROR, "a body before the answer's fields")
        frames.add_piece(found.body, data)
        found.size += len(data)
        self._channel.arriving += len(data)
        if self._channel.arriving > MAX_ARRIVING:
            raise StreamError(stream, Code.CANCEL, TOO_MUCH)
        if ends:
            self._end_stream(stream, Outcome.BROKEN, b"", "gRPC: the answer ended without a status")

    def on_data_after_all(self, stream: int) -> None:
        """Ignores bytes that were under way when the request was aborted."""

    def on_stream_error(self, error: StreamError) -> None:
        if error.stream in self._streams:
            self._end_stream(error.stream, Outcome.BROKEN, b"", f"gRPC: {error}")

    def _ended(self, stream: int, found: _Stream, parsed: _Answer) -> None:
        if parsed.grpc_status == b"0":
            body = found.body[0] if len(found.body) == 1 else b"".join(found.body)
            try:
                answer = message(body, found.encoding)
            except MessageError as error:
                self._end_stream(stream, Outcome.BROKEN, b"", f"gRPC: {error}")
            else:
                self._end_stream(stream, Outcome.ANSWERED, answer, "")
        elif parsed.grpc_status:
            name = parsed.grpc_status.decode("ascii", "replace")
            name = CODES[int(name)] if name.isdigit() and int(name) < len(CODES) else f"status {name}"
            outcome = Outcome.BROKEN if name == "UNAVAILABLE" else Outcome.REFUSED
            self._end_stream(stream, outcome, b"", f"gRPC {name}: {decoded_text(parsed.text)}")
        else:
            status = found.http_status.decode("ascii", "replace")
            self._end_stream(stream, Outcome.REFUSED, b"", f"gRPC: HTTP status {status} and no gRPC status")

    def _end_stream(self, stream: int, outcome: Outcome, answer: bytes, text: str) -> None:
        done_ns = self._stamped.received_ns
        found = self._streams.pop(stream)
        self._channel.arriving -= found.size
        if stream in self.outgoing.waiting:
            self.reset(stream, Code.CANCEL)  # the server does not need the rest of the request
        self.forget(stream)
        self._channel.finish(found.index, outcome, done_ns, answer, text, found.first_ns)
        self._go_on()

    def _go_on(self) -> None:
        """Uses the room that an ended request has left."""
        if not self._is_draining:
            self._channel.use(self)
        elif not self._streams and not self.is_lost:
            self.hang_up("drained")

    def on_reset(self, stream: int, code: int) -> None:
        found = self._streams.get(stream)
        if found is None:
            return
        # RFC 9113, 8.7: it was not processed. A server refuses what comes before it has done away with an ended stream.
        if code == Code.REFUSED_STREAM and not found.http_status and self._channel.may_repeat(found.index):
            del self._streams[stream]
            self._channel.repeat(found.index)
            self._go_on()
        else:
            self._end_stream(stream, Outcome.BROKEN, b"", f"gRPC: the server reset the request ({code_name(code)})")

    def on_goaway(self, last_stream: int, text: str) -> None:
        self._drain(f"gRPC: the server goes away ({text})")
        for stream in [stream for stream in self._streams if stream > last_stream]:
            self._end_stream(stream, Outcome.BROKEN, b"", f"gRPC: refused by a server that goes away ({text})")
        if not self._streams and not self.is_lost:
            self.hang_up("drained")

    def _drain(self, text: str) -> None:
        self._is_draining = True
        self._channel.drop(self, text)

    def on_lost(self, reason: str) -> None:
        if not self.has_settings:
            reason = f"{reason} (does the server speak HTTP/2?)"
        self._is_draining = True
        done_ns = time.monotonic_ns()
        streams, self._streams = self._streams, {}
        for found in streams.values():
            self._channel.arriving -= found.size
            text = f"gRPC: connection lost: {reason}"
            self._channel.finish(found.index, Outcome.BROKEN, done_ns, b"", text, found.first_ns)
        self._channel.drop(self, f"gRPC: connection lost: {reason}")

    def is_open(self, stream: int) -> bool:
        return stream in self._streams

    def is_active(self, stream: int) -> bool:
        return stream in self._streams

    def is_idle(self, stream: int) -> bool:
        return stream >= self._next or not stream % 2
