"""A server's end of an HTTP/2 connection: collects requests, hands each over whole, and sends the answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from serving.http2 import frames
from serving.http2.connection import Connection
from serving.http2.frames import Code, ProtocolError
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
from serving.http2.grpc_server import Call, Head, Rules, read_head
from serving.http2.header_blocks import plain_block

WINDOW = 16 * 2**20
"""Bytes that a client may have under way without being asked for more."""
PREFACE_S = 20.0
"""Until when HTTP/2's preface and settings have to be there."""
DRAIN_S = 1.0
"""How long a peer may take to answer the PING after which no request of its is under way."""

_HEADERS = [(b":status", b"200"), (b"content-type", CONTENT_TYPE), (b"grpc-accept-encoding", ENCODINGS)]
_ANSWER = plain_block(_HEADERS)
_OK = plain_block([(b"grpc-status", b"0")])
_NOT_GRPC = plain_block([(b":status", b"415")])
_LAST_WORD = frames.END_HEADERS | frames.END_STREAM
_DRAIN_PING = b"draining"


class _Stage(IntEnum):
    OPEN = 0
    DRAINING = 1  # the client knows; what it had sent until then is still taken
    LAST = 2  # nothing new is taken


@dataclass(slots=True)
class _Request:
    head: Head
    arrived: float
    parts: list[bytes] = field(default_factory=list)
    size: int = 0


class ServerConnection(Connection[Head]):
    """One of a server's connections; it is in ``alive`` as long as it is."""

    def __init__(self, rules: Rules, alive: set[ServerConnection]) -> None:
        super().__init__(WINDOW, read_head, {frames.MAX_CONCURRENT_STREAMS: rules.max_streams})
        self._rules = rules
        self._alive = alive
        self._loop = asyncio.get_running_loop()
        self._preface = frames.PREFACE
        self._arriving: dict[int, _Request] = {}
        self._calls: dict[int, Call] = {}
        self._running = 0  # calls not answered yet; those that the client gave up are among them: they cost as well
        self._last = 0
        self._stage = _Stage.OPEN
        self._timers: list[asyncio.TimerHandle] = []
        self._used = time.monotonic()

    # -- the connection -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._alive.add(self)
        super().connection_made(transport)
        self._later(PREFACE_S, self._check_preface)
        if self._rules.max_age_s is not None:
            self._later(self._rules.max_age_s, self.drain)
        if self._rules.max_idle_s is not None:
            self._later(self._rules.max_idle_s, self._check_idle)

    def data_received(self, data: bytes) -> None:
        if self._preface:
            size = min(len(data), len(self._preface))
            if data[:size] != self._preface[:size]:
                self.fail(Code.PROTOCOL_ERROR, "not HTTP/2")
                return
            self._preface, data = self._preface[size:], data[size:]
        super().data_received(data)

    def drain(self) -> None:
        """The connection ends after the requests that the client has sent until it hears of this (6.8)."""
        if self._stage is _Stage.OPEN and not self.is_lost:
            self._stage = _Stage.DRAINING
            ping = frames.frame(frames.PING, 0, 0, _DRAIN_PING)
            self.transport.write(frames.goaway(2**31 - 1, Code.NO_ERROR) + ping)
            self._later(DRAIN_S, self._take_no_more)

    def on_pong(self, payload: bytes) -> None:
        if payload == _DRAIN_PING:
            self._take_no_more()

    def _take_no_more(self) -> None:
        if self._stage is _Stage.DRAINING and not self.is_lost:
            self._stage = _Stage.LAST
            self.transport.write(frames.goaway(self._last, Code.NO_ERROR))
            self._close_if_done()

    def _close_if_done(self) -> None:
        if self._stage is _Stage.LAST and not self._arriving and not self._calls and not self._waiting:
            self.hang_up("drained")

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self._timers.append(self._loop.call_later(seconds, what))

    def _check_preface(self) -> None:
        if not self.has_settings:
            self.fail(Code.SETTINGS_TIMEOUT, f"no HTTP/2 within {PREFACE_S:.0f} s")

    def _check_idle(self) -> None:
        limit = self._rules.max_idle_s or 0.0
        is_busy = self._arriving or self._calls or self._waiting
        left = limit if is_busy else self._used + limit - time.monotonic()
        if left <= 0:
            self.drain()
        else:
            self._later(left, self._check_idle)

    def on_lost(self, _reason: str) -> None:
        for timer in self._timers:
            timer.cancel()
        for call in self._calls.values():
            call.is_over = True
        self._calls.clear()
        self._arriving.clear()
        self._alive.discard(self)

    # -- requests -----------------------------------------------------------------------------------

    def on_headers(self, stream: int, parsed: Head, ends: bool) -> None:
        arriving = self._arriving.get(stream)
        if arriving is not None:  # trailing fields
            if not ends:
                self._abandon(stream, Code.PROTOCOL_ERROR)
            else:
                self._arrived(stream, arriving)
            return
        if not stream % 2:
            raise ProtocolError(Code.PROTOCOL_ERROR, "a request on an even stream")
        if stream <= self._last:
            return  # of a stream that was refused or is over
        self._last = stream
        if self._stage is _Stage.LAST or self._running + len(self._arriving) >= self._rules.max_streams:
            self._abandon(stream, Code.REFUSED_STREAM)
        elif parsed.problem:
            self._abandon(stream, Code.PROTOCOL_ERROR)
        elif not parsed.is_grpc:
            self._end_early(stream, _NOT_GRPC, ends)
        elif parsed.path not in self._rules.methods:
            self._end_early(stream, _status_only("UNIMPLEMENTED", "Method not found!"), ends)
        else:
            request = self._arriving[stream] = _Request(parsed, time.monotonic())
            if ends:
                self._arrived(stream, request)

    def on_data(self, stream: int, data: bytes, ends: bool) -> None:
        request = self._arriving[stream]
        request.parts.append(data)
        request.size += len(data)
        limit = self._rules.max_message
        declared = declared_size(data) if len(request.parts) == 1 and len(data) >= PREFIX_BYTES else 0
        if declared > limit or request.size > limit + PREFIX_BYTES:
            size = max(declared, request.size - PREFIX_BYTES)
            text = f"Received message larger than max ({size} vs. {limit})"
            del self._arriving[stream]
            self._end_early(stream, _status_only("RESOURCE_EXHAUSTED", text), ends)
        elif ends:
            self._arrived(stream, request)

    def _arrived(self, stream: int, request: _Request) -> None:
        del self._arriving[stream]
        head = request.head
        body = request.parts[0] if len(request.parts) == 1 else b"".join(request.parts)
        try:
            content = message(body, head.encoding, self._rules.max_message)
        except MessageError as error:
            self._end_early(stream, _status_only(error.code, str(error)), True)
            return
        deadline = None if head.timeout_s is None else request.arrived + head.timeout_s
        call = self._calls[stream] = Call(self, stream, content, deadline)
        self._running += 1
        self._rules.methods[head.path](call)

    def on_reset(self, stream: int, _code: int) -> None:
        self._arriving.pop(stream, None)
        call = self._calls.pop(stream, None)
        if call is not None:
            call.is_over = True
        self._close_if_done()

    # -- answers ------------------------------------------------------------------------------------

    def answer(self, call: Call, body: bytes) -> None:
        """An OK answer. Nothing is sent to a client that has gone."""
        stream = self._finished(call)
        if stream:
            start = frames.frame(frames.HEADERS, frames.END_HEADERS, stream, _ANSWER)
            end = frames.frame(frames.HEADERS, _LAST_WORD, stream, _OK)
            self.send(stream, start, prefix(len(body)) + body, end)
            self._close_if_done()

    def refuse(self, call: Call, code: str, text: str) -> None:
        """An answer with another status."""
        stream = self._finished(call)
        if stream:
            self.transport.write(frames.frame(frames.HEADERS, _LAST_WORD, stream, _status_only(code, text)))
            self.forget(stream)
            self._close_if_done()

    def _finished(self, call: Call) -> int:
        self._running -= 1
        self._used = time.monotonic()
        return 0 if call.is_over or self._calls.pop(call.stream, None) is None else call.stream

    def _end_early(self, stream: int, block: bytes, request_ended: bool) -> None:
        """Answers a request that may not have arrived whole: its rest is not wanted (RFC 9113, 8.1)."""
        last = frames.frame(frames.HEADERS, _LAST_WORD, stream, block)
        self.transport.write(last if request_ended else last + frames.reset(stream, Code.NO_ERROR))
        self.forget(stream)
        self._close_if_done()

    def _abandon(self, stream: int, code: Code) -> None:
        self._arriving.pop(stream, None)
        self.forget(stream)
        self.transport.write(frames.reset(stream, code))

    # -- what the connection asks -------------------------------------------------------------------

    def is_open(self, stream: int) -> bool:
        return stream in self._arriving

    def is_active(self, stream: int) -> bool:
        return stream in self._arriving or stream in self._calls or stream in self._waiting

    def is_idle(self, stream: int) -> bool:
        return stream > self._last or not stream % 2

    def last_stream(self) -> int:
        return self._last

    def on_settings(self) -> None:
        """Nothing here depends on them."""

    def on_goaway(self, last_stream: int, text: str) -> None:
        """The client will close the connection when it has its answers."""


def _status_only(code: str, text: str) -> bytes:
    fields = [*_HEADERS[:2], (b"grpc-status", b"%d" % CODES.index(code))]
    if text:
        fields.append((b"grpc-message", encoded_text(text)))
    return plain_block(fields)
