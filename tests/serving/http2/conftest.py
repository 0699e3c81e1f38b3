"""A small gRPC server over ServerConnection in a thread, and a peer that can send it any bytes."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import uvloop
from hyperframe import frame as hf

from serving.http2 import frames
from serving.http2.grpc_messages import prefix
from serving.http2.grpc_server import GrpcCall, ServerRules
from serving.http2.header_blocks import plain_block
from serving.http2.server_connection import ServerConnection
from serving.launch import LOOPBACK

LIMIT_S = 20.0


class EchoServer:
    """Methods of the service t.T; runs on a loop of uvloop in a thread of its own."""

    def __init__(self, path: Path | None = None, tls: ssl.SSLContext | None = None, **rules: float) -> None:
        self.alive: set[ServerConnection] = set()
        self.begun: list[GrpcCall] = []  # of Wait
        self.count = 0
        methods = {
            b"/t.T/Echo": self._echo,
            b"/t.T/Make": lambda call: call.answer(bytes(int(call.body))),
            b"/t.T/Wait": self.begun.append,
            b"/t.T/Later": lambda call: self.loop.call_later(float(call.body), call.answer, b"late"),
            b"/t.T/Fail": lambda call: call.fail("DATA_LOSS", call.body.decode()),
            b"/t.T/Raise": lambda call: call.body.no_such_attribute,
        }
        self.rules = ServerRules(methods, **{"max_ratio": 2000, **rules})
        self.loop = uvloop.new_event_loop()
        self.port = 0
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(path, tls, started))
        self._thread.start()
        assert started.wait(LIMIT_S)

    def _echo(self, call: GrpcCall) -> None:
        self.count += 1
        call.answer(call.body)

    def _run(self, path: Path | None, tls: ssl.SSLContext | None, started: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)
        make = lambda: ServerConnection(self.rules, self.alive)  # noqa: E731
        if path:
            self.server = self.loop.run_until_complete(self.loop.create_unix_server(make, str(path)))
        else:
            self.server = self.loop.run_until_complete(self.loop.create_server(make, LOOPBACK, 0, ssl=tls))
            self.port = self.server.sockets[0].getsockname()[1]
        started.set()
        self.loop.run_forever()
        self.loop.close()

    def ask(self, what: Callable[[], object]) -> object:
        """Run a function in the loop's thread, and return its result."""

        async def run() -> object:
            return what()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(LIMIT_S)

    def drain(self) -> None:
        """Stop listening, and end every connection gracefully."""

        def begin() -> None:
            self.server.close()
            for connection in list(self.alive):
                connection.drain()

        self.ask(begin)

    def stop(self) -> None:
        def end() -> None:
            self.server.close()
            for connection in list(self.alive):
                connection.transport.abort()

        self.ask(end)
        until(lambda: not self.alive)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(LIMIT_S)

    def state(self) -> list[dict[str, int]]:
        """Return each connection's counts of everything that grows with a peer's bytes."""
        return self.ask(lambda: [each.sizes() for each in self.alive])

    def is_at_rest(self) -> bool:
        """Whether no connection holds anything."""
        return not any(any(each.values()) for each in self.state())


def until(condition: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s} s"
        time.sleep(0.005)


def fields(path: str = "/t.T/Echo", **more: str) -> list[tuple[bytes, bytes]]:
    """The fields of a gRPC request; in names, _ stands for -."""
    found = {":method": "POST", ":scheme": "http", ":path": path, "te": "trailers", "content-type": "application/grpc"}
    found |= {name.replace("_", "-"): value for name, value in more.items()}
    return [(name.encode(), value.encode()) for name, value in found.items()]


def head(stream: int, path: str = "/t.T/Echo", flags: int = frames.END_HEADERS, **more: str) -> bytes:
    return frames.frame(frames.HEADERS, flags, stream, plain_block(fields(path, **more)))


def request(stream: int, body: bytes = b"hello", path: str = "/t.T/Echo") -> bytes:
    content = prefix(len(body)) + body
    return head(stream, path) + frames.frame(frames.DATA, frames.END_STREAM, stream, content)


HELLO = frames.PREFACE + frames.settings({})


class Peer:
    """A socket to the server; frames are read by the library hyperframe."""

    def __init__(self, port: int, hello: bytes = HELLO) -> None:
        self.socket = socket.create_connection((LOOPBACK, port), timeout=LIMIT_S)
        self._rest = b""
        self.send(hello)

    def send(self, data: bytes) -> None:
        """Send bytes; reading will show if the server has closed the connection."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def read(self) -> hf.Frame | None:
        """The next frame; None: the server has hung up."""
        while True:
            if len(self._rest) >= 9:
                found, size = hf.Frame.parse_frame_header(memoryview(self._rest[:9]))
                if len(self._rest) >= 9 + size:
                    found.parse_body(memoryview(self._rest[9 : 9 + size]))
                    self._rest = self._rest[9 + size :]
                    return found
            try:
                more = self.socket.recv(1 << 18)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self._rest += more

    def wait_for(self, kind: type, stream: int | None = None) -> hf.Frame:
        """The next frame of a kind."""
        while (found := self.read()) is not None:
            if isinstance(found, kind) and stream in (None, found.stream_id):
                return found
        raise AssertionError(f"hung up before {kind.__name__}")

    def error(self) -> str:
        """How the server ended it: GOAWAY's or RST_STREAM's code, or an answer's status."""
        while (found := self.read()) is not None:
            if isinstance(found, hf.GoAwayFrame) and found.error_code:
                return f"connection {frames.code_name(found.error_code)}"
            if isinstance(found, hf.RstStreamFrame):
                return f"stream {frames.code_name(found.error_code)}"
            if isinstance(found, hf.HeadersFrame) and "END_STREAM" in found.flags:
                return "answered"
        return "closed"

    def is_alive(self) -> bool:
        """Whether the connection answers a PING."""
        self.send(frames.frame(frames.PING, 0, 0, b"12345678"))
        while (found := self.read()) is not None:
            if isinstance(found, hf.PingFrame) and found.opaque_data == b"12345678":
                return True
        return False

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


@contextmanager
def serving(**options: object) -> Iterator[EchoServer]:
    server = EchoServer(**options)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def tools() -> type:
    """The tools of this module for test modules."""

    class Tools:
        pass

    for each in (EchoServer, Peer, serving, until, fields, head, request):
        setattr(Tools, each.__name__, staticmethod(each))
    return Tools


@pytest.fixture(scope="module")
def server() -> Iterator[EchoServer]:
    with serving() as found:
        yield found


@pytest.fixture
def unharmed(server: EchoServer) -> Iterator[EchoServer]:
    """Yield the server; after the test, check that it answers, holds nothing, and has closed its files."""
    process = psutil.Process()
    until(lambda: not server.alive)
    server.begun.clear()
    before = server.rules.held.bytes  # of calls that a test before has left unanswered
    files = process.num_fds()
    yield server
    with Peer(server.port) as peer:
        peer.send(request(1))
        assert peer.wait_for(hf.DataFrame).data == prefix(5) + b"hello"
    until(lambda: not server.alive)
    until(lambda: process.num_fds() <= files)
    assert server.rules.held.bytes == before + sum(call.share.bytes for call in server.begun)
