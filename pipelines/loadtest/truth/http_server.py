"""Serves the ground truth over HTTP/1.1, with little work per request, to leave the machine to the measurement."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

from pipelines.loadtest.generator.sockets import StampedTransport, listen
from pipelines.loadtest.truth.clock import Clock, wrong_bytes

RESET_AFTER_S = 0.01
"""Time between half of an answer and the reset: an immediate reset may overtake the bytes before it."""
_LENGTH = b"\r\ncontent-length:"


class HttpConnection(asyncio.Protocol):
    """One connection; requests that come together are answered in the order in which they are due."""

    previous = b""  # the body of the previous request to the whole server

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(StampedTransport, transport)

    def data_received(self, data: bytes) -> None:
        arrival_ns = self._transport.received_ns
        self._data = data = self._data + data if self._data else data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            head = data[:end].lower()
            at = head.find(_LENGTH)
            size = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            stop = end + 4 + size
            if len(data) < stop:
                return
            body, path = data[end + 4 : stop], data[:end].split(b" ", 2)[1].decode("latin-1")
            self._data = data = data[stop:]
            self._take(path, arrival_ns, body)

    def _take(self, path: str, arrival_ns: int, body: bytes) -> None:
        previous, HttpConnection.previous = HttpConnection.previous or b"none before it", body

        def reply(fault: str) -> None:
            if self._transport.is_closing():
                return
            answer = ANSWERS.get(fault)
            if answer is None:
                self._transport.write(whole(wrong_bytes(fault, body, previous)))
            else:
                answer(self._transport, body)

        try:
            self._clock.take(path, arrival_ns, reply)
        except ValueError as error:
            text = str(error).encode()
            self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))


def whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def _error(transport: asyncio.Transport, _: bytes) -> None:
    transport.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\ntoo  busy")


def _chunked(transport: asyncio.Transport, body: bytes) -> None:
    pieces = [body[start : start + 100] for start in range(0, len(body), 100)]
    chunks = b"".join(b"%x;note=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    half = len(chunks) // 2
    transport.write(head + chunks[:half])
    rest = chunks[half:] + b"0\r\nTrailer: 1\r\n\r\n"
    asyncio.get_running_loop().call_soon(transport.write, rest)


def _close(transport: asyncio.Transport, body: bytes) -> None:
    transport.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
    transport.close()


def _short(transport: asyncio.Transport, body: bytes) -> None:
    transport.write(whole(body)[:-1])
    transport.close()


def _reset(transport: asyncio.Transport, body: bytes) -> None:
    transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body) + 10, body))

    def abort() -> None:
        sock = transport.get_extra_info("socket")
        if sock is not None and not transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    asyncio.get_running_loop().call_later(RESET_AFTER_S, abort)


ANSWERS: dict[str, Callable[[asyncio.Transport, bytes], None]] = {
    "error": _error,
    "silent": lambda _transport, _body: None,
    "chunked": _chunked,
    "close": _close,
    "short": _short,
    "reset": _reset,
    "long": lambda transport, body: transport.write(whole(body) + b"and more"),
    "drop": lambda transport, _body: transport.close(),
}


async def serve(port: int, host: str) -> None:
    """Prints the port, and serves until the process ends."""
    loop = asyncio.get_running_loop()
    clock = Clock(loop)
    server = listen(loop, lambda: HttpConnection(clock), host, port)
    print(server.getsockname()[1], flush=True)
    await loop.create_future()
