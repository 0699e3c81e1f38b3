"""Serves the ground truth over gRPC: any method is an order, messages are bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

from pipelines.loadtest.generator.sockets import StampedTransport, listen
from pipelines.loadtest.truth.behaviour import parse
from pipelines.loadtest.truth.clock import Clock, wrong_bytes
from serving.http2 import frames
from serving.http2.frames import Code
from serving.http2.grpc_messages import CONTENT_TYPE, prefix
from serving.http2.grpc_server import GrpcCall, Head, Method, ServerRules, read_head
from serving.http2.header_blocks import BlockReader, Fields, plain_block
from serving.http2.server_connection import ServerConnection

MAX_STREAMS = 100_000
PIECE = 100
_HEAD = plain_block([(b":status", b"200"), (b"content-type", CONTENT_TYPE)])
_OK = plain_block([(b"grpc-status", b"0")])
_LAST = frames.END_HEADERS | frames.END_STREAM


@dataclass(frozen=True, slots=True)
class _Head(Head):
    authorization: bytes = b""


def _read(fields: Fields) -> _Head:
    head = read_head(fields)
    values = {name: getattr(head, name) for name in Head.__dataclass_fields__}
    return _Head(**values, authorization=dict(fields).get(b"authorization", b""))


class _Methods(Mapping[bytes, Method]):
    """Maps each valid command path to a gRPC method; any other path raises KeyError."""

    def __init__(self, take: Callable[[str, GrpcCall], None]) -> None:
        self._take = take
        self._known: dict[bytes, Method] = {}

    def __getitem__(self, path: bytes) -> Method:
        if path not in self._known:
            text = path.decode("latin-1")
            try:
                parse(text)
            except ValueError as error:
                raise KeyError(path) from error
            self._known[path] = partial(self._take, text)
        return self._known[path]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class _GrpcService(ServerConnection):
    """One connection; answers leave when they are due, whatever the order of the requests."""

    previous = b"none before it"  # the body of the previous request to the whole server

    def __init__(self, clock: Clock, alive: set[ServerConnection]) -> None:
        super().__init__(ServerRules(_Methods(self._take), max_streams=MAX_STREAMS), alive)
        self._blocks = BlockReader(_read)
        self._clock = clock
        self._authorization = b""  # of the newest request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._stamped = cast(StampedTransport, transport)
        super().connection_made(transport)

    def on_headers(self, stream: int, parsed: Head, ends: bool) -> None:
        self._authorization = cast(_Head, parsed).authorization
        super().on_headers(stream, parsed, ends)

    def _take(self, path: str, call: GrpcCall) -> None:
        previous, _GrpcService.previous = _GrpcService.previous, call.body
        authorization = self._authorization

        def reply(fault: str) -> None:
            if call.is_over:  # the client has gone
                return
            if fault == "error":
                call.fail("INVALID_ARGUMENT", "too  busy")
            elif fault == "metadata":
                call.answer(authorization)
            elif fault in _BREAKS:
                _BREAKS[fault](self, call.stream, prefix(len(call.body)) + call.body)
            else:
                call.answer(wrong_bytes(fault, call.body, previous))

        self._clock.take(path, self._stamped.received_ns, reply)

    def in_pieces(self, stream: int, message: bytes) -> None:
        self.send_data(stream, message, PIECE)
        self.outgoing.write(frames.frame(frames.HEADERS, _LAST, stream, _OK))

    def then_drain(self, stream: int, message: bytes) -> None:
        self.in_pieces(stream, message)
        self.drain()

    def cut_short(self, stream: int, message: bytes) -> None:
        self.in_pieces(stream, message[:-1])

    def too_long(self, stream: int, message: bytes) -> None:
        self.in_pieces(stream, message + b"and more")

    def reset_half_way(self, stream: int, message: bytes) -> None:
        self.send_data(stream, message[: len(message) // 2], PIECE)
        self.reset(stream, Code.INTERNAL_ERROR)

    def send_data(self, stream: int, data: bytes, piece: int) -> None:
        """Sends an answer's head and a part of its body; small enough for any window."""
        parts = [frames.frame(frames.HEADERS, frames.END_HEADERS, stream, _HEAD)]
        parts += [frames.frame(frames.DATA, 0, stream, data[at : at + piece]) for at in range(0, len(data), piece)]
        self.outgoing.write(b"".join(parts))


_BREAKS: dict[str, Callable[[_GrpcService, int, bytes], None]] = {
    "silent": lambda _connection, _stream, _message: None,
    "chunked": _GrpcService.in_pieces,
    "close": _GrpcService.then_drain,
    "short": _GrpcService.cut_short,
    "long": _GrpcService.too_long,
    "reset": _GrpcService.reset_half_way,
    "drop": lambda connection, _stream, _message: connection.transport.abort(),
}


async def serve(port: int, host: str) -> None:
    """Prints the port, and serves until the process ends."""
    loop = asyncio.get_running_loop()
    clock, alive = Clock(loop), set[ServerConnection]()
    server = listen(loop, lambda: _GrpcService(clock, alive), host, port)
    print(server.getsockname()[1], flush=True)
    await loop.create_future()
