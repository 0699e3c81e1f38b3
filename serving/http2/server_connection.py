"""Run a server's end of an HTTP/2 connection: collect each request, pass it on when complete, and send its answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from serving.http2 import frames
from serving.http2.connection import Connection
from serving.http2.frames import Code, Http2Error, StreamError
from serving.http2.grpc_messages import (
    CODES,
    CONTENT_TYPE,
    ENCODINGS,
    PREFIX_BYTES,
    MessageError,
    declared_size,
    encoded_text,
    message,
    prefix,
)
from serving.http2.grpc_server import GrpcCall, Head, Method, ServerRules, read_head
from serving.http2.header_blocks import plain_block
from serving.limits import Share

log = logging.getLogger(__name__)

WINDOW = 16 * 2**20
"""Bytes that a client may send on a connection before this side asks for more."""
STREAM_WINDOW = 2**20
"""The same for one stream. 1,000 streams can hold 1,000 times this at most, in spite of MAX_ARRIVING."""
MAX_ARRIVING = 64 * 2**20
"""Bytes of incomplete requests, above which only the oldest request may send more."""
MAX_UNSENT = 64 * 2**20
"""Bytes of answers that wait for the client's window, above which none of its requests is started."""
MOST_GIVEN_UP = 10_000
"""Remembered streams that this side ended before the client did; their frames may still arrive."""
MOST_UNPACKED_HERE = 4096
"""Largest compressed message in bytes that the event loop's thread decompresses: the result has at most 4 MB."""
PREFACE_S = 20.0
"""Seconds in which HTTP/2's preface and settings must arrive."""
DRAIN_S = 1.0
"""Seconds for the peer to answer the last PING; after that answer, no more requests of it can arrive."""

_HEADERS = [(b":status", b"200"), (b"content-type", CONTENT_TYPE), (b"grpc-accept-encoding", ENCODINGS)]
_ANSWER = plain_block(_HEADERS)
_OK = plain_block([(b"grpc-status", b"0")])
_NOT_GRPC = plain_block([(b":status", b"415")])
_NOT_POST = plain_block([(b":status", b"405"), (b"allow", b"POST")])
_LAST_WORD = frames.END_HEADERS | frames.END_STREAM
_DRAIN_PING = b"draining"
_ANY_STREAM = 2**31 - 1


class _Stage(IntEnum):
    OPEN = 0
    DRAINING = 1  # the client is told; requests that it sent before are still accepted
    LAST = 2  # no new requests are accepted


@dataclass(slots=True)
class _Request:
    head: Head
    method: Method
    arrived: float
    share: Share
    pieces: list[bytes | bytearray] = field(default_factory=list)
    size: int = 0
    declared: int = -1  # size of the message, once its prefix has arrived


class ServerConnection(Connection[Head]):
    """A connection of a server; it stays in ``alive`` until its socket is closed."""

    def __init__(self, rules: ServerRules, alive: set[ServerConnection]) -> None:
        super().__init__(WINDOW, STREAM_WINDOW, read_head, {frames.MAX_CONCURRENT_STREAMS: rules.max_streams})
        self._rules = rules
        self._alive = alive
        self._loop = asyncio.get_running_loop()
        self._preface = frames.PREFACE
        self._arriving: dict[int, _Request] = {}
        self._arriving_bytes = 0
        self._calls: dict[int, GrpcCall] = {}
        self._held: deque[tuple[GrpcCall, Method]] = deque()  # calls that wait until the client reads its answers
        self._running = 0  # calls not answered yet, cancelled ones included, because they still use the server
        self._given_up: dict[int, None] = {}
        self._is_paused = False  # the client does not read its answers
        self._last = 0
        self._stage = _Stage.OPEN
        self._told_last = _ANY_STREAM  # the last accepted stream that the client was told
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._used = time.monotonic()

    # -- the connection -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._alive.add(self)
        super().connection_made(transport)
        self._later("preface", PREFACE_S, self._check_preface)
        if self._rules.max_age_s is not None:
            self._later("age", self._rules.max_age_s, self.drain)
        if self._rules.max_idle_s is not None:
            self._later("idle", self._rules.max_idle_s, self._check_idle)

    def connection_lost(self, error: Exception | None) -> None:
        self._alive.discard(self)
        super().connection_lost(error)

    def pause_writing(self) -> None:
        # A client that does not read its answers may not send more requests. Only one end may do this: if neither
        # end read before it had written, both would wait forever.
        self._is_paused = True
        if not self.is_lost:
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_paused = False
        if not self.is_lost:
            self.transport.resume_reading()
            self.on_room()

    def data_received(self, data: bytes) -> None:
        if self._preface and not self.is_lost:
            size = min(len(data), len(self._preface))
            if data[:size] != self._preface[:size]:
                self.fail(Code.PROTOCOL_ERROR, "not HTTP/2")
                return
            self._preface, data = self._preface[size:], data[size:]
        super().data_received(data)

    def drain(self) -> None:
        """End the connection after the requests that the client sends before it receives this notice (6.8)."""
        if not self.has_settings:
            self.transport.abort()  # the client has sent nothing yet
        elif self._stage is _Stage.OPEN and not self.is_lost:
            self._stage = _Stage.DRAINING
            ping = frames.frame(frames.PING, 0, 0, _DRAIN_PING)
            self.outgoing.write(frames.goaway(_ANY_STREAM, Code.NO_ERROR) + ping)
            self._later("drain", DRAIN_S, self._take_no_more)
            for ends in [call.ends for call in self._calls.values() if call.ends is not None]:
                ends()

    def on_pong(self, payload: bytes) -> None:
        if payload == _DRAIN_PING:
            self._take_no_more()

    def _take_no_more(self) -> None:
        if self._stage is _Stage.DRAINING and not self.is_lost:
            self._stage = _Stage.LAST
            self._told_last = self._last
            self.outgoing.write(frames.goaway(self._last, Code.NO_ERROR))
            self._close_if_done()

    def _close_if_done(self) -> None:
        if self._stage is _Stage.LAST and not self._is_busy() and not self.is_lost:
            self.hang_up("drained")

    def _is_busy(self) -> bool:
        return bool(self._arriving or self._calls or self.outgoing.waiting)

    def _later(self, name: str, seconds: float, what: Callable[[], None]) -> None:
        self._timers[name] = self._loop.call_later(seconds, what)

    def _check_preface(self) -> None:
        if not self.has_settings:
            self.fail(Code.SETTINGS_TIMEOUT, f"no HTTP/2 within {PREFACE_S:g} s")

    def _check_idle(self) -> None:
        limit = self._rules.max_idle_s or 0.0
        left = limit if self._is_busy() else self._used + limit - time.monotonic()
        if left <= 0:
            self.drain()
        else:
            self._later("idle", left, self._check_idle)

    def sizes(self) -> dict[str, int]:
        """Count everything in this connection that grows with the bytes that the client sends."""
        return {
            "arriving": len(self._arriving),
            "arriving_bytes": self._arriving_bytes,
            "calls": len(self._calls),
            "held": len(self._held),
            "running": self._running,
            **self.outgoing.sizes(),
            **self.incoming.sizes(),
        }

    def on_lost(self, _reason: str) -> None:
        for timer in self._timers.values():
            timer.cancel()
        for call in list(self._calls.values()):
            self._leave(call)
        self._calls.clear()
        for call, _ in self._held:
            call.share.give_back()
        self._held.clear()
        for request in self._arriving.values():
            request.share.give_back()
        self._arriving.clear()

    # -- requests -----------------------------------------------------------------------------------

    def on_headers(self, stream: int, parsed: Head, ends: bool) -> None:
        if stream <= self._last or not stream % 2:
            self._on_later_headers(stream, parsed, ends)
            return
        self._last = stream
        open_streams = self._running + len(self._arriving) + len(self.outgoing.waiting)
        if self._stage is _Stage.LAST or open_streams >= self._rules.max_streams:
            self._give_up(stream, Code.REFUSED_STREAM, ends)
        elif parsed.problem or parsed.is_trailing:
            self._give_up(stream, Code.PROTOCOL_ERROR, ends)
        elif not parsed.is_post:
            self._end_early(stream, _NOT_POST, ends)
        elif not parsed.is_grpc:
            self._end_early(stream, _NOT_GRPC, ends)
        elif (method := self._rules.methods.get(parsed.path)) is None:
            self._end_early(stream, _status_only("UNIMPLEMENTED", "Method not found!"), ends)
        else:
            request = self._arriving[stream] = _Request(parsed, method, time.monotonic(), Share(self._rules.held))
            if ends:
                self._arrived(stream, request)

    def _on_later_headers(self, stream: int, parsed: Head, ends: bool) -> None:
        """Handle HEADERS of a stream that is not new: trailing fields, or an error."""
        request = self._arriving.get(stream)
        if request is not None:
            if not ends or parsed.problem or not parsed.is_trailing:
                raise StreamError(stream, Code.PROTOCOL_ERROR, "invalid trailing fields")
            self.incoming.forget(stream)
            self._arrived(stream, request)
        elif stream in self._calls or stream in self.outgoing.waiting:
            raise StreamError(stream, Code.STREAM_CLOSED, "HEADERS after the end of a request")
        elif stream in self._given_up:
            if ends:
                del self._given_up[stream]
        else:
            raise Http2Error(Code.PROTOCOL_ERROR, f"a request on stream {stream} after {self._last}")  # 5.1.1

    def on_data(self, stream: int, data: bytes, ends: bool) -> None:
        request = self._arriving[stream]
        pieces = request.pieces
        if pieces:
            frames.add_piece(pieces, data)
        else:
            pieces.append(data)
        size = request.size = request.size + len(data)
        self._arriving_bytes += len(data)
        if request.declared < 0 and size >= PREFIX_BYTES:
            request.declared = declared_size(data if len(pieces) == 1 else b"".join(pieces))
        if not request.share.add(len(data)):
            self._forget_arriving(stream)
            self._end_early(stream, _status_only("RESOURCE_EXHAUSTED", self._rules.held.refusal), ends)
        elif request.declared > self._rules.max_message:
            text = f"Received message larger than max ({request.declared} vs. {self._rules.max_message})"
            self._forget_arriving(stream)
            self._end_early(stream, _status_only("RESOURCE_EXHAUSTED", text), ends)
        elif ends:
            self._arrived(stream, request)
        elif 0 <= request.declared < size - PREFIX_BYTES:
            self._forget_arriving(stream)
            self._end_early(stream, _status_only("UNIMPLEMENTED", "a unary call with more than one message"), False)

    def wants_more(self, stream: int) -> bool:
        return self._arriving_bytes <= MAX_ARRIVING or stream == next(iter(self._arriving))

    def _forget_arriving(self, stream: int) -> None:
        request = self._arriving.pop(stream, None)
        if request is not None:
            self._arriving_bytes -= request.size
            request.share.give_back()
            self._open_withheld()

    def _open_withheld(self) -> None:
        if self._arriving:
            self.outgoing.write(self.incoming.open_withheld(self.wants_more))

    def _arrived(self, stream: int, request: _Request) -> None:
        del self._arriving[stream]
        self._arriving_bytes -= request.size
        if self.incoming.withheld:
            self._open_withheld()
        head, pieces, share = request.head, request.pieces, request.share
        if head.size is not None and head.size != request.size:  # 8.1.1
            share.give_back()
            raise StreamError(stream, Code.PROTOCOL_ERROR, "a body whose length differs from content-length")
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        deadline = None if head.timeout_s is None else request.arrived + head.timeout_s
        if body[:1] == b"\1" and len(body) > MOST_UNPACKED_HERE:
            self._unpack(GrpcCall(self, stream, b"", deadline, share), request, body)
            return
        try:
            content = message(body, head.encoding, self._rules.max_message, self._rules.max_ratio)
        except MessageError as error:
            share.give_back()
            self._end_early(stream, _status_only(error.code, str(error)), True)
            return
        call = self._calls[stream] = GrpcCall(self, stream, content, deadline, share)
        self._running += 1
        self._begin_or_hold(call, request)

    def _unpack(self, call: GrpcCall, request: _Request, body: bytes | bytearray) -> None:
        """Decompress a message in another thread, because it may become many times as long."""
        self._calls[call.stream] = call
        self._running += 1

        def grow(size: int) -> None:
            if call.is_over or call.is_late():
                raise MessageError("CANCELLED", "nobody waits for the answer")
            if not call.share.add(size):
                raise MessageError("RESOURCE_EXHAUSTED", self._rules.held.refusal)

        rules, encoding = self._rules, request.head.encoding
        work = self._loop.run_in_executor(None, message, body, encoding, rules.max_message, rules.max_ratio, grow)

        def unpacked(done: asyncio.Future[bytes]) -> None:
            error = done.exception()
            if error is None and not call.is_over:
                call.body = done.result()
                self._begin_or_hold(call, request)
            elif isinstance(error, MessageError):
                call.fail(error.code, str(error))
            else:
                call.fail("INTERNAL", "the message could not be decompressed")
                if error is not None:
                    log.error("Unexpected error", exc_info=error)

        work.add_done_callback(unpacked)

    def _begin_or_hold(self, call: GrpcCall, request: _Request) -> None:
        if self._held or self._is_paused or self.outgoing.unsent > MAX_UNSENT:
            self._held.append((call, request.method))
        else:
            self._begin(call, request.method)

    def _begin(self, call: GrpcCall, method: Method) -> None:
        if call.deadline is not None and call.is_late():
            call.fail("DEADLINE_EXCEEDED", "the deadline had passed before the call began")
            return
        try:
            method(call)
        except Exception:
            log.exception("Unexpected error in %s", method)
            call.share.give_back()
            if self._calls.get(call.stream) is call:
                call.fail("INTERNAL", "an unexpected error; see the server's log")

    def on_room(self) -> None:
        while self._held and not self._is_paused and self.outgoing.unsent <= MAX_UNSENT:
            call, method = self._held.popleft()
            if call.is_over:
                self._finished(call)
            else:
                self._begin(call, method)
        if self._stage is _Stage.LAST:
            self._close_if_done()

    def on_reset(self, stream: int, _code: int) -> None:
        self._given_up.pop(stream, None)
        self._drop(stream)

    def on_stream_error(self, error: StreamError) -> None:
        log.debug("stream %d: %s: %s", error.stream, error.code.name, error)
        self._expect_the_rest(error.stream)
        self._drop(error.stream)

    def on_data_after_all(self, stream: int) -> None:
        if stream in self._calls or stream in self.outgoing.waiting:
            raise StreamError(stream, Code.STREAM_CLOSED, "DATA after the end of a request")
        if stream not in self._given_up:
            raise Http2Error(Code.STREAM_CLOSED, "DATA on a stream that is over")

    def _drop(self, stream: int) -> None:
        """Forget an ended stream; its call gets no answer."""
        self._forget_arriving(stream)
        call = self._calls.pop(stream, None)
        if call is not None:
            self._leave(call)
        self.on_room()

    def _leave(self, call: GrpcCall) -> None:
        """Tell a call that its client has left."""
        call.is_over = True
        if call.ends is not None:
            call.ends()

    # -- answers ------------------------------------------------------------------------------------

    def send(self, call: GrpcCall, body: bytes) -> None:
        """Send a message of an answer that goes on; a client that takes none loses the call."""
        if call.is_over:
            return
        start = b""
        if not call.has_begun:
            start = frames.frame(frames.HEADERS, frames.END_HEADERS, call.stream, self._table_update() + _ANSWER)
        if self.outgoing.send_part(call.stream, start, prefix(len(body)) + body):
            call.has_begun = True
        elif call.ends is not None:
            call.ends()

    def answer(self, call: GrpcCall, body: bytes) -> None:
        """Send an answer with status OK. Does nothing if the client has disconnected."""
        stream = self._finished(call)
        if stream:
            block = self._table_update() + _ANSWER if self.table_update else _ANSWER
            start = frames.frame(frames.HEADERS, frames.END_HEADERS, stream, block)
            end = frames.frame(frames.HEADERS, _LAST_WORD, stream, _OK)
            self.outgoing.send(stream, start, prefix(len(body)) + body, end)
            if self._stage is _Stage.LAST:
                self._close_if_done()

    def refuse(self, call: GrpcCall, code: str, text: str) -> None:
        """Send an answer with another status."""
        stream = self._finished(call)
        if stream:
            self._end_early(stream, _status_only(code, text, call.has_begun), True)

    def _finished(self, call: GrpcCall) -> int:
        self._running -= 1
        self._used = time.monotonic()
        call.body = b""
        call.share.give_back()
        return 0 if call.is_over or self._calls.pop(call.stream, None) is None else call.stream

    def _end_early(self, stream: int, block: bytes, request_ended: bool) -> None:
        """Answer with header fields only. The rest of an incomplete request is refused (RFC 9113, 8.1)."""
        self.outgoing.write(frames.frame(frames.HEADERS, _LAST_WORD, stream, self._table_update() + block))
        if request_ended:
            self.forget(stream)
            self._close_if_done()
        else:
            self._give_up(stream, Code.NO_ERROR, False)

    def _give_up(self, stream: int, code: Code, request_ended: bool) -> None:
        """End a stream whose frames may still arrive."""
        self.reset(stream, code)
        if not request_ended:
            self._expect_the_rest(stream)
        self._close_if_done()

    def _expect_the_rest(self, stream: int) -> None:
        self._given_up[stream] = None
        if len(self._given_up) > MOST_GIVEN_UP:
            del self._given_up[next(iter(self._given_up))]

    def _table_update(self) -> bytes:
        """Return the start of the next block; only the first call after a change returns it."""
        update, self.table_update = self.table_update, b""
        return update

    # -- questions of the connection ----------------------------------------------------------------

    def is_open(self, stream: int) -> bool:
        return stream in self._arriving

    def is_active(self, stream: int) -> bool:
        return stream in self._arriving or stream in self._calls or stream in self.outgoing.waiting

    def is_idle(self, stream: int) -> bool:
        return stream > self._last or not stream % 2

    def last_stream(self) -> int:
        return min(self._last, self._told_last)

    def on_goaway(self, last_stream: int, text: str) -> None:
        """Do nothing: the client closes the connection when it has its answers."""


def _status_only(code: str, text: str, has_begun: bool = False) -> bytes:
    fields = [*_HEADERS[: 0 if has_begun else 2], (b"grpc-status", b"%d" % CODES.index(code))]
    if text:
        fields.append((b"grpc-message", encoded_text(text)))
    return plain_block(fields)
