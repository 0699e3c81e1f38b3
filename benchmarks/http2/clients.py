"""A client's end, on serving/http2 and on the library ngh2, with the same work for a unary call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import ngh2
from common import BODY, PATH, SETTINGS, Known

from serving.http2 import frames
from serving.http2.connection import Connection
from serving.http2.frames import Http2Error, StreamError
from serving.http2.grpc_messages import CONTENT_TYPE, message, prefix
from serving.http2.header_blocks import repeated_block

REQUEST = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", PATH),
    (b":authority", b"127.0.0.1:8500"),
    (b"te", b"trailers"),
    (b"content-type", CONTENT_TYPE),
    (b"user-agent", b"slipway-loadtest"),
)
MESSAGE = prefix(len(BODY)) + BODY
Answered = Callable[[bytes], None]


class OwnClient(Connection[dict[bytes, bytes]]):
    """Asks over serving/http2."""

    largest_push = 0

    def __init__(self, answered: Answered) -> None:
        super().__init__(frames.LARGEST_WINDOW, frames.LARGEST_WINDOW, dict, {frames.ENABLE_PUSH: 0})
        self._answered = answered
        self._first_head, self._later_head = repeated_block(REQUEST, self.table_size)
        self._next = 1
        self._bodies: dict[int, list[bytes]] = {}
        self.ready = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(frames.PREFACE)
        super().connection_made(transport)

    def on_settings(self) -> None:
        self.ready.set()

    def request(self) -> None:
        """Sends a request."""
        stream, self._next = self._next, self._next + 2
        block = self._later_head if stream > 1 else self._first_head
        self._bodies[stream] = []
        self.outgoing.send(stream, frames.frame(frames.HEADERS, frames.END_HEADERS, stream, block), MESSAGE)

    def on_headers(self, stream: int, parsed: dict[bytes, bytes], ends: bool) -> None:
        if not ends:
            assert parsed[b":status"] == b"200"
            return
        assert parsed[b"grpc-status"] == b"0"
        body = message(b"".join(self._bodies.pop(stream)))
        self.forget(stream)
        self._answered(body)

    def on_data(self, stream: int, data: bytes, _ends: bool) -> None:
        self._bodies[stream].append(data)

    def on_data_after_all(self, stream: int) -> None:
        raise Http2Error(frames.Code.STREAM_CLOSED, f"DATA after the end of stream {stream}")

    def on_reset(self, stream: int, code: int) -> None:
        raise Http2Error(frames.Code.INTERNAL_ERROR, f"stream {stream} was reset: {code}")

    def on_stream_error(self, error: StreamError) -> None:
        raise error

    def on_goaway(self, _last_stream: int, text: str) -> None:
        raise Http2Error(frames.Code.INTERNAL_ERROR, text)

    def on_lost(self, _reason: str) -> None:
        """Does nothing: the benchmark closes the connection itself, with no request open."""

    def is_open(self, stream: int) -> bool:
        return stream in self._bodies

    is_active = is_open

    def is_idle(self, stream: int) -> bool:
        return stream >= self._next or not stream % 2


class MinimalClient(asyncio.Protocol):
    """Asks by ngh2."""

    def __init__(self, answered: Answered) -> None:
        self._answered = answered
        self._http2 = ngh2.Connection(ngh2.Role.CLIENT)
        self._bodies: dict[int, list[bytes]] = {}
        self._heads = Known(dict)
        self.ready = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        mine = {frames.ENABLE_PUSH: 0, frames.INITIAL_WINDOW_SIZE: frames.LARGEST_WINDOW}
        self._http2.initiate_connection({**SETTINGS, **mine})
        self._http2.set_local_window_size(frames.LARGEST_WINDOW)
        self._transport.write(self._http2.data_to_send())

    def request(self) -> None:
        """Sends a request."""
        stream = self._http2.send_request(REQUEST)
        self._http2.send_data(stream, MESSAGE, end_stream=True)
        self._bodies[stream] = []
        self._transport.write(self._http2.data_to_send())

    def data_received(self, data: bytes) -> None:
        self._http2.receive_data(data)
        for event in self._http2.events():
            kind = type(event)
            if kind is ngh2.DataReceived:
                self._bodies[event.stream_id].append(event.data)
            elif kind is ngh2.ResponseReceived:
                assert self._heads[event.headers][b":status"] == b"200"
            elif kind is ngh2.TrailersReceived:
                assert self._heads[event.headers][b"grpc-status"] == b"0"
                self._answered(message(b"".join(self._bodies.pop(event.stream_id))))
            elif kind is ngh2.SettingsReceived:
                self.ready.set()
        if more := self._http2.data_to_send():
            self._transport.write(more)
