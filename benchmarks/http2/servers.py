"""A server's end, on serving/http2 and on the library ngh2, with the same work for a unary call."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import cast

import ngh2
from common import ANSWER, PATH, SETTINGS, Known

from serving.http2 import frames
from serving.http2.grpc_messages import CONTENT_TYPE, ENCODINGS, message, prefix
from serving.http2.grpc_server import GrpcCall, Head, ServerRules, read_head
from serving.http2.server_connection import MAX_ARRIVING, MAX_UNSENT, STREAM_WINDOW, WINDOW
from serving.limits import Share

RULES = ServerRules({PATH: lambda call: call.answer(ANSWER)})
HEAD = ((b":status", b"200"), (b"content-type", CONTENT_TYPE), (b"grpc-accept-encoding", ENCODINGS))
OK = ((b"grpc-status", b"0"),)


@dataclass(slots=True)
class Request:
    """A request that is arriving."""

    head: Head
    arrived: float = 0.0
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0


class MinimalServer(asyncio.Protocol):
    """Answers calls by ngh2 with as little code as possible: without serving/http2's bounds on a client."""

    config = ngh2.Configuration()

    def __init__(self, rules: ServerRules = RULES) -> None:
        self.rules = rules
        self.http2 = ngh2.Connection(ngh2.Role.SERVER, self.config)
        self.arriving: dict[int, Request] = {}
        self.calls: dict[int, GrpcCall] = {}
        self.heads = Known(read_head)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        streams = {frames.MAX_CONCURRENT_STREAMS: self.rules.max_streams, frames.INITIAL_WINDOW_SIZE: STREAM_WINDOW}
        self.http2.initiate_connection({**SETTINGS, **streams})
        self.http2.set_local_window_size(WINDOW)
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.http2.receive_data(data)
        for event in self.http2.events():
            kind = type(event)
            if kind is ngh2.DataReceived:
                self.arriving[event.stream_id].pieces.append(event.data)
                if event.end_stream:
                    self.begin(event.stream_id)
            elif kind is ngh2.RequestReceived:
                self.arriving[event.stream_id] = Request(self.heads[event.headers])
        self.flush()

    def begin(self, stream: int) -> None:
        request = self.arriving.pop(stream)
        body = message(b"".join(request.pieces), request.head.encoding, self.rules.max_message)
        call = self.calls[stream] = GrpcCall(self, stream, body, None, Share(self.rules.held))
        self.rules.methods[request.head.path](call)

    def answer(self, call: GrpcCall, body: bytes) -> None:
        del self.calls[call.stream]
        self.send(call.stream, body)

    def send(self, stream: int, body: bytes) -> None:
        """Sends an answer when it is made, as serving/http2 does: a model answers after the read of its request."""
        self.http2.send_response(stream, HEAD)
        self.http2.send_data(stream, prefix(len(body)) + body)
        self.http2.send_trailers(stream, OK)
        self.flush()

    def flush(self) -> None:
        if data := self.http2.data_to_send():
            self.transport.write(data)

    def refuse(self, _call: GrpcCall, code: str, text: str) -> None:
        raise AssertionError(f"the benchmark refuses no call. Received: {code} {text}")


class BoundedServer(MinimalServer):
    """The same with the bounds of serving/http2: on streams, bytes that arrive, unsent answers and lateness."""

    config = ngh2.Configuration(auto_window_update=False)

    def __init__(self, rules: ServerRules = RULES) -> None:
        super().__init__(rules)
        self._arriving_bytes = 0
        self._running = 0

    def data_received(self, data: bytes) -> None:
        self.http2.receive_data(data)
        for event in self.http2.events():
            kind = type(event)
            if kind is ngh2.DataReceived:
                self._on_data(event)
            elif kind is ngh2.RequestReceived:
                assert self._running + len(self.arriving) < self.rules.max_streams
                self.arriving[event.stream_id] = Request(self.heads[event.headers], time.monotonic())
            elif kind is ngh2.StreamClosed:
                call = self.calls.pop(event.stream_id, None)
                if call is not None:
                    call.is_over = True
        self.flush()

    def _on_data(self, event: ngh2.DataReceived) -> None:
        stream, size = event.stream_id, len(event.data)
        request = self.arriving[stream]
        request.pieces.append(event.data)
        request.size += size
        self._arriving_bytes += size
        assert request.size <= self.rules.max_message
        if self._arriving_bytes <= MAX_ARRIVING:
            self.http2.acknowledge_received_data(size, stream)
        if event.end_stream:
            self.begin(stream)

    def begin(self, stream: int) -> None:
        request = self.arriving.pop(stream)
        self._arriving_bytes -= request.size
        head = request.head
        body = request.pieces[0] if len(request.pieces) == 1 else b"".join(request.pieces)
        deadline = None if head.timeout_s is None else request.arrived + head.timeout_s
        content = message(body, head.encoding, self.rules.max_message)
        call = self.calls[stream] = GrpcCall(self, stream, content, deadline, Share(self.rules.held))
        self._running += 1
        assert self.http2.queued_body_size() <= MAX_UNSENT
        assert not call.is_late()
        self.rules.methods[head.path](call)

    def answer(self, call: GrpcCall, body: bytes) -> None:
        self._running -= 1
        if not call.is_over and self.calls.pop(call.stream, None) is not None:
            self.send(call.stream, body)
