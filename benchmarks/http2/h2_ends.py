"""Both ends of a connection on the library h2, which is written in Python."""

from __future__ import annotations

import asyncio
from typing import cast

import h2.events
from clients import MESSAGE, REQUEST, Answered
from common import Known
from h2.config import H2Configuration
from h2.connection import H2Connection
from servers import HEAD, OK, RULES, Request

from serving.http2.frames import DEFAULT_WINDOW
from serving.http2.grpc_messages import message, prefix
from serving.http2.grpc_server import GrpcCall, read_head
from serving.http2.server_connection import WINDOW
from serving.limits import Share


class H2End(asyncio.Protocol):
    """Sends and receives; a subclass handles the events."""

    def __init__(self, is_client: bool) -> None:
        self.http2 = H2Connection(H2Configuration(client_side=is_client, header_encoding=None))
        self.ready = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.http2.initiate_connection()
        self.http2.increment_flow_control_window(WINDOW - DEFAULT_WINDOW)
        self.flush()

    def data_received(self, data: bytes) -> None:
        for event in self.http2.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                self.http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.RemoteSettingsChanged):
                self.ready.set()
            self.on_event(event)
        self.flush()

    def on_event(self, event: h2.events.Event) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        if data := self.http2.data_to_send():
            self.transport.write(data)


class H2Server(H2End):
    """Answers calls."""

    def __init__(self) -> None:
        super().__init__(is_client=False)
        self._arriving: dict[int, Request] = {}
        self._heads = Known(read_head)

    def on_event(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self._arriving[event.stream_id] = Request(self._heads[tuple(event.headers)])
        elif isinstance(event, h2.events.DataReceived):
            self._arriving[event.stream_id].pieces.append(event.data)
        elif isinstance(event, h2.events.StreamEnded):
            request = self._arriving.pop(event.stream_id)
            body = message(b"".join(request.pieces), request.head.encoding)
            RULES.methods[request.head.path](GrpcCall(self, event.stream_id, body, None, Share(RULES.held)))

    def answer(self, call: GrpcCall, body: bytes) -> None:
        self.http2.send_headers(call.stream, HEAD)
        self.http2.send_data(call.stream, prefix(len(body)) + body)
        self.http2.send_headers(call.stream, OK, end_stream=True)
        self.flush()

    def refuse(self, _call: GrpcCall, code: str, text: str) -> None:
        raise AssertionError(f"the benchmark refuses no call. Received: {code} {text}")


class H2Client(H2End):
    """Asks."""

    def __init__(self, answered: Answered) -> None:
        super().__init__(is_client=True)
        self._answered = answered
        self._bodies: dict[int, list[bytes]] = {}

    def request(self) -> None:
        """Sends a request."""
        stream = self.http2.get_next_available_stream_id()
        self.http2.send_headers(stream, REQUEST)
        self.http2.send_data(stream, MESSAGE, end_stream=True)
        self._bodies[stream] = []
        self.flush()

    def on_event(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.DataReceived):
            self._bodies[event.stream_id].append(event.data)
        elif isinstance(event, h2.events.ResponseReceived):
            assert dict(event.headers)[b":status"] == b"200"
        elif isinstance(event, h2.events.TrailersReceived):
            assert dict(event.headers)[b"grpc-status"] == b"0"
            self._answered(message(b"".join(self._bodies.pop(event.stream_id))))
