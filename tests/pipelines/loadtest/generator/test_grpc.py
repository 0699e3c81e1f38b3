"""The gRPC transport against gRPC's own servers, the library h2, and servers that break every rule."""

from __future__ import annotations

import asyncio
import gc
import gzip
import inspect
import struct
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import h2.config
import h2.connection
import h2.events
import h2.settings
import psutil
import pytest

from pipelines.loadtest.generator.grpc import GrpcTransport
from pipelines.loadtest.generator.transport import TOO_MUCH
from pipelines.loadtest.recording import Outcome
from pipelines.loadtest.request import complete
from serving.clients import Call
from serving.http2 import connection, frames, outgoing
from serving.http2.frames import END_HEADERS, END_STREAM, PREFACE, frame, settings
from serving.http2.grpc_messages import prefix
from serving.http2.header_blocks import plain_block
from serving.launch import LOOPBACK, free_port

LIMIT_S = 20.0
ANSWERED, BROKEN, REFUSED = Outcome.ANSWERED, Outcome.BROKEN, Outcome.REFUSED
HEAD = plain_block([(b":status", b"200"), (b"content-type", b"application/grpc")])
OK = plain_block([(b"grpc-status", b"0")])


class Caller:
    """A transport, and how each of its requests ended."""

    def __init__(self, port: int, bodies: list[bytes], path: str = "/t.T/Echo", headers: dict | None = None) -> None:
        self.ended: dict[int, tuple[Outcome, bytes, str]] = {}
        self.port = port
        call = Call(f"grpc://{LOOPBACK}:{port}", path, headers or {})
        self.transport = GrpcTransport(complete(call), bodies, self._finished)
        self.then: Callable[[], None] = lambda: None

    def _finished(
        self, index: int, outcome: Outcome, done_ns: int, answer: bytes, text: str, first_ns: int = 0
    ) -> None:
        assert index not in self.ended, "a request ended twice"
        assert 0 <= first_ns <= done_ns
        assert first_ns or outcome is not ANSWERED
        self.ended[index] = (outcome, answer, text)
        self.then()

    async def ask(self, *indices: int) -> list[tuple[Outcome, bytes, str]]:
        """Return how these requests end."""
        for index in indices:
            self.transport.send(index)
        await self.until(lambda: all(index in self.ended for index in indices))
        return [self.ended[index] for index in indices]

    async def until(self, condition: Callable[[], object]) -> None:
        async def poll() -> None:
            while not condition():
                await asyncio.sleep(0.005)

        await asyncio.wait_for(poll(), LIMIT_S)

    def connections(self) -> int:
        """Return how many connections to the server this process holds open."""
        every = psutil.Process().connections("tcp")
        return sum(bool(each.raddr) and each.raddr.port == self.port for each in every)


@asynccontextmanager
async def calling(port: int, *bodies: bytes, **options: object) -> AsyncIterator[Caller]:
    caller = Caller(port, list(bodies) or [b"hello"], **options)
    try:
        yield caller
    finally:
        await caller.transport.close()
        await caller.until(lambda: not caller.connections())


@asynccontextmanager
async def grpc_server(waiting: list[bytes] | None = None, **options: int) -> AsyncIterator[int]:
    """gRPC's own server; its methods are Echo, Fail and Wait, which notes its requests in ``waiting``."""

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            return grpc.unary_unary_rpc_method_handler(getattr(self, details.method.rsplit("/", 1)[1]))

        async def Echo(self, request: bytes, _context: grpc.aio.ServicerContext) -> bytes:  # noqa: N802
            return request

        async def Fail(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:  # noqa: N802
            await context.abort(grpc.StatusCode[request.decode()], "schön\n")

        async def Wait(self, request: bytes, _context: grpc.aio.ServicerContext) -> bytes:  # noqa: N802
            if waiting is not None:
                waiting.append(request)
            await asyncio.sleep(LIMIT_S)
            return b""

    given = {"max_receive_message_length": -1, "max_send_message_length": -1, **options}
    server = grpc.aio.server(options=[(f"grpc.{name}", value) for name, value in given.items()])
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


def run(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test that is a coroutine's function without arguments."""

    def runs() -> None:
        asyncio.run(asyncio.wait_for(test(), 3 * LIMIT_S))

    runs.__name__, runs.__doc__ = test.__name__, test.__doc__
    return runs


@run
async def test_sizes() -> None:
    bodies = [bytes([size % 251]) * size for size in (0, 1, 16_383, 65_530, 65_531, 10**6, 2**26)]
    async with grpc_server() as port, calling(port, *bodies) as caller:
        assert await caller.ask(*range(7)) == [(ANSWERED, body, "") for body in bodies]


@run
async def test_a_thousand_at_once_over_one_connection() -> None:
    async with grpc_server() as port, calling(port, b"a", b"b" * 20_000) as caller:
        assert {(each[0], each[2]) for each in await caller.ask(*range(1000))} == {(ANSWERED, "")}
        assert caller.connections() == 1


@pytest.mark.parametrize("limit", [1, 7])
def test_a_thousand_at_once_keep_to_the_servers_limit_of_streams(limit):
    """C-core cannot judge it: it still counts a stream whose end it has sent, and refuses the next one."""
    most = ended = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers as soon as it holds as many requests as it may, or the last ones."""
        nonlocal most, ended
        running: set[int] = set()
        await reader.readexactly(len(PREFACE))
        writer.write(settings({STREAMS: limit}))
        found = frames.FrameReader(2**24)
        while chunk := await reader.read(65536):
            for kind, flags, stream, _ in found.feed(chunk):
                if kind == frames.HEADERS:
                    running.add(stream)
                    most = max(most, len(running))
                is_end = kind == frames.DATA and bool(flags & END_STREAM)
                ended += is_end
                if is_end and (ended == 1000 or ended % limit == 0):
                    for each in running:
                        whole = headers(each, HEAD) + data(each, prefix(2) + b"hi")
                        writer.write(whole + headers(each, OK, END_HEADERS | END_STREAM))
                    running.clear()

    async def test() -> None:
        async with listening(serve) as port, calling(port) as caller:
            assert await caller.ask(*range(1000)) == [(ANSWERED, b"hi", "")] * 1000
            assert caller.connections() == 1

    asyncio.run(asyncio.wait_for(test(), 3 * LIMIT_S))
    assert most == limit


@run
async def test_statuses() -> None:
    codes = (b"UNAVAILABLE", b"INTERNAL")
    async with grpc_server() as port, calling(port, *codes, path="/t.T/Fail") as caller:
        assert await caller.ask(0, 1) == [
            (BROKEN, b"", "gRPC UNAVAILABLE: schön\n"),
            (REFUSED, b"", "gRPC INTERNAL: schön\n"),
        ]


@run
async def test_aborted_requests_make_room() -> None:
    begun: list[bytes] = []
    async with (
        grpc_server(begun, max_concurrent_streams=1) as port,
        calling(port, b"0", b"1", b"2", path="/t.T/Wait") as caller,
    ):
        for index in range(3):
            caller.transport.send(index)
        await caller.until(lambda: begun == [b"0"])
        caller.transport.abort(1)
        caller.transport.abort(0)
        await caller.until(lambda: begun == [b"0", b"2"])
        caller.transport.abort(2)
        assert caller.ended == {}
    assert caller.ended == {}


@pytest.mark.parametrize("method", ["Echo", "Fail", "Wait"])
def test_of_requests_that_have_ended_nothing_is_kept(method: str) -> None:
    """However they end: with an answer, with an error, or aborted. 2,000 kept ones would take 100 kB and more."""
    ours = [tracemalloc.Filter(True, inspect.getfile(one)) for one in (GrpcTransport, connection, outgoing)]

    def held() -> int:
        gc.collect()
        return sum(each.size for each in tracemalloc.take_snapshot().filter_traces(ours).traces)

    async def test() -> None:
        begun: list[bytes] = []
        async with grpc_server(begun) as port, calling(port, b"INTERNAL", path=f"/t.T/{method}") as caller:

            async def many(indices: range) -> None:
                if method == "Wait":
                    for index in indices:
                        caller.transport.send(index)
                    await caller.until(lambda: len(begun) == len(indices))
                    for index in indices:
                        caller.transport.abort(index)
                    begun.clear()
                else:
                    await caller.ask(*indices)
                    caller.ended.clear()

            await many(range(100))
            tracemalloc.start()
            try:
                await many(range(100, 200))
                before = held()
                for first in range(200, 2200, 100):
                    await many(range(first, first + 100))
                assert held() - before < 20_000
                assert caller.transport.arriving == 0
            finally:
                tracemalloc.stop()

    asyncio.run(asyncio.wait_for(test(), 3 * LIMIT_S))


@run
async def test_nobody_listens() -> None:
    async with calling(free_port()) as caller:
        ((outcome, _, text),) = await caller.ask(0)
        assert outcome is BROKEN
        assert text.startswith("cannot connect")


# -- the library h2 ---------------------------------------------------------------------------------


async def h2_echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, changes: list[dict[int, int]]) -> None:
    """Echoes requests; after each it changes its settings."""
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
    if changes:
        server.local_settings = h2.settings.Settings(client=False, initial_values=changes.pop(0))
        server.decoder.max_allowed_table_size = server.local_settings.header_table_size
        server.max_inbound_frame_size = server.local_settings.max_frame_size
    server.initiate_connection()
    bodies: dict[int, bytes] = {}
    while True:
        writer.write(server.data_to_send())
        data = await reader.read(65536)
        if not data:
            break
        for event in server.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                assert dict(event.headers)[b":path"] == b"/t.T/Echo"
                bodies[event.stream_id] = b""
            elif isinstance(event, h2.events.DataReceived):
                bodies[event.stream_id] += event.data
                server.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                stream = event.stream_id
                server.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
                for start in range(0, len(bodies[stream]), 10_000):
                    server.send_data(stream, bodies[stream][start : start + 10_000], pad_length=3)
                server.send_headers(stream, [("grpc-status", "0")], end_stream=True)
                if changes:
                    server.update_settings(changes.pop(0))
    writer.close()


@asynccontextmanager
async def listening(serve: Callable[..., Awaitable[None]]) -> AsyncIterator[int]:
    """A server of which every connection is one call of a function; none of them may raise."""
    tasks: list[asyncio.Task] = []

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(begin, LOOPBACK, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), LIMIT_S)
    assert [task.exception() for task in tasks if task.exception() is not None] == []


TABLE, STREAMS, WINDOW, FRAME = 1, 3, 4, 5


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [{TABLE: 0}],
        [{TABLE: 40}],
        [{}, {TABLE: 100}, {TABLE: 0}, {TABLE: 4096}],
        [{WINDOW: 1000}],
        [{WINDOW: 20_000}, {WINDOW: 7}, {WINDOW: 2**30}],
        [{STREAMS: 1}, {STREAMS: 3}, {STREAMS: 2}],
        [{FRAME: 2**24 - 1}],
    ],
    ids=str,
)
def test_settings_of_the_library_h2(changes):
    async def test() -> None:
        steps = list(changes)
        bodies = [b"a", b"b" * 30_000]
        async with (
            listening(lambda reader, writer: h2_echo(reader, writer, steps)) as port,
            calling(port, *bodies, headers={"authorization": "x" * 60}) as caller,
        ):
            for first in range(0, 12, 4):
                found = await caller.ask(*range(first, first + 4))
                assert found == [(ANSWERED, body, "") for body in bodies * 2]
            assert caller.connections() == 1

    asyncio.run(asyncio.wait_for(test(), 3 * LIMIT_S))


# -- servers that break the rules ---------------------------------------------------------------------


def headers(stream: int, block: bytes, flags: int = END_HEADERS) -> bytes:
    return frame(frames.HEADERS, flags, stream, block)


def data(stream: int, payload: bytes, flags: int = 0) -> bytes:
    return frame(frames.DATA, flags, stream, payload)


def ends(*fields: tuple[bytes, bytes]) -> bytes:
    return headers(1, plain_block(fields), END_HEADERS | END_STREAM)


LAST = headers(1, OK, END_HEADERS | END_STREAM)
WHOLE = data(1, prefix(2) + b"hi")
PACKED = gzip.compress(b"hi")
REFUSED_STREAM = struct.pack(">L", 7)
ANSWERS = {
    "whole": (headers(1, HEAD) + WHOLE + LAST, ANSWERED, ""),
    "after an informational one": (
        headers(1, plain_block([(b":status", b"103")])) + headers(1, HEAD) + WHOLE + LAST,
        ANSWERED,
        "",
    ),
    "in single bytes": (
        headers(1, HEAD) + b"".join(data(1, bytes([byte])) for byte in prefix(2) + b"hi") + LAST,
        ANSWERED,
        "",
    ),
    "compressed": (
        headers(1, HEAD + plain_block([(b"grpc-encoding", b"gzip")]))
        + data(1, b"\1" + prefix(len(PACKED))[1:] + PACKED)
        + LAST,
        ANSWERED,
        "",
    ),
    "trailers only": (
        ends((b":status", b"200"), (b"grpc-status", b"5"), (b"grpc-message", b"a%20b")),
        REFUSED,
        "gRPC NOT_FOUND: a b",
    ),
    "an unknown status": (ends((b":status", b"200"), (b"grpc-status", b"99")), REFUSED, "gRPC status 99: "),
    "a status that is no number": (ends((b":status", b"200"), (b"grpc-status", b"x")), REFUSED, "gRPC status x: "),
    "HTTP's status alone": (ends((b":status", b"503")), REFUSED, "HTTP status 503"),
    "no status": (headers(1, HEAD) + data(1, prefix(2) + b"hi", END_STREAM), BROKEN, "without a status"),
    "no message": (headers(1, HEAD) + LAST, BROKEN, "without a message"),
    "half a message": (headers(1, HEAD) + data(1, prefix(3) + b"hi") + LAST, BROKEN, "incomplete"),
    "too long": (headers(1, HEAD) + data(1, prefix(1) + b"hi") + LAST, BROKEN, "more than one"),
    "a body before the head": (WHOLE, BROKEN, "before"),
    "two heads": (headers(1, HEAD) + headers(1, HEAD), BROKEN, "neither"),
    "trailing fields that go on": (headers(1, HEAD) + headers(1, OK), BROKEN, "neither"),
    "no :status": (headers(1, OK), BROKEN, "neither"),
    "refused once": (frame(frames.RST_STREAM, 0, 1, REFUSED_STREAM), ANSWERED, ""),
    "refused after its answer has begun": (
        headers(1, HEAD) + WHOLE + frame(frames.RST_STREAM, 0, 1, REFUSED_STREAM),
        BROKEN,
        "REFUSED_STREAM",
    ),
    "reset in the middle": (
        headers(1, HEAD) + WHOLE + frame(frames.RST_STREAM, 0, 1, struct.pack(">L", 2)),
        BROKEN,
        "INTERNAL_ERROR",
    ),
    "reset by an unknown code": (frame(frames.RST_STREAM, 0, 1, struct.pack(">L", 12345)), BROKEN, "12345"),
    "GOAWAY before it": (frames.goaway(0, frames.Code.NO_ERROR, "bye"), BROKEN, "bye"),
    "GOAWAY after it": (frames.goaway(1, frames.Code.NO_ERROR) + headers(1, HEAD) + WHOLE + LAST, ANSWERED, ""),
    "a stream of its own": (headers(2, HEAD), BROKEN, "idle"),
    "a stream that nobody opened": (headers(7, HEAD), BROKEN, "idle"),
    "DATA on an idle stream": (data(7, b"x"), BROKEN, "not open"),
    "a push": (frame(frames.PUSH_PROMISE, END_HEADERS, 1, struct.pack(">L", 2) + HEAD), BROKEN, "PUSH_PROMISE"),
    "ENABLE_PUSH 1": (settings({2: 1}), BROKEN, "ENABLE_PUSH"),
    "a broken block": (headers(1, b"\x80"), BROKEN, "cannot be decoded"),
    "CONTINUATION for ever": (headers(1, b"", 0) + frame(frames.CONTINUATION, 0, 1) * 2000, BROKEN, "without end"),
    "a frame over the limit": (frames.head(frames.DATA, 0, 1, 2**24 - 1), BROKEN, "limit"),
    "PING for ever": (frame(frames.PING, 0, 0, bytes(8)) * 10_100, BROKEN, "a minute"),
    "a window that overflows": (frames.window_update(0, 2**31 - 1), BROKEN, "window"),
    "nothing more of a window": (frames.window_update(1, 0), BROKEN, "WINDOW_UPDATE of 0"),
    "HTTP/1.1": (b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(100), BROKEN, ""),
    "the end": (b"", BROKEN, "closed by the peer"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(name):
    """Afterwards, another request is answered, on another connection if necessary."""
    answer, outcome, text = ANSWERS[name]
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await reader.readexactly(len(PREFACE))
        writer.write(settings({}))
        found = frames.FrameReader(2**24)
        while chunk := await reader.read(65536):
            for kind, flags, stream, _ in found.feed(chunk):
                if kind == frames.DATA and flags & END_STREAM:
                    first = count == 1 and stream == 1
                    whole = headers(stream, HEAD) + data(stream, prefix(2) + b"hi")
                    writer.write(answer if first else whole + headers(stream, OK, END_HEADERS | END_STREAM))
                    if first and name == "the end":
                        writer.close()
                        return

    async def test() -> None:
        async with listening(serve) as port, calling(port) as caller:
            ((found, body, said),) = await caller.ask(0)
            assert (found, body) == (outcome, b"hi" if outcome is ANSWERED else b"")
            assert text in said
            assert await caller.ask(1) == [(ANSWERED, b"hi", "")]

    asyncio.run(asyncio.wait_for(test(), 3 * LIMIT_S))


@run
async def test_a_request_that_is_refused_again_has_failed() -> None:
    """It is sent twice at most, as gRPC's clients do, so that a server at its end is not flooded."""
    asked: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(PREFACE))
        writer.write(settings({}))
        found = frames.FrameReader(2**24)
        while chunk := await reader.read(65536):
            for kind, flags, stream, _ in found.feed(chunk):
                if kind == frames.DATA and flags & END_STREAM:
                    asked.append(stream)
                    writer.write(frame(frames.RST_STREAM, 0, stream, REFUSED_STREAM))

    async with listening(serve) as port, calling(port) as caller:
        for index in range(2):
            ((found, _, said),) = await caller.ask(index)
            assert (found, "REFUSED_STREAM" in said) == (BROKEN, True)
    assert asked == [1, 3, 5, 7]


@run
async def test_a_server_that_says_nothing() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.read(65536):
            pass

    async with listening(serve) as port, calling(port) as caller:
        for index in range(5):
            caller.transport.send(index)
            await caller.until(lambda: connections)
        for index in range(5):
            caller.transport.abort(index)
        assert connections == 1
        caller.transport.send(9)


@run
async def test_a_server_that_never_takes_a_request() -> None:
    """The server goes away at once, every time: the requests fail, and nothing loops for ever."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.write(settings({STREAMS: 0}) + frames.goaway(0, frames.Code.NO_ERROR))
        while await reader.read(65536):
            pass

    async with listening(serve) as port, calling(port) as caller:
        assert {each[0] for each in await caller.ask(0, 1, 2)} == {BROKEN}
        assert connections == 1


@run
async def test_requests_that_wait_get_another_connection() -> None:
    """GOAWAY while one request runs and others wait: that one is answered, the others use the next connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(settings({STREAMS: 1}))
        await reader.readexactly(len(PREFACE))
        found, ended = frames.FrameReader(2**24), False
        while not ended and (chunk := await reader.read(65536)):
            ended = any(kind == frames.DATA for kind, *_ in found.feed(chunk))
        writer.write(frames.goaway(1, frames.Code.NO_ERROR) + headers(1, HEAD) + WHOLE + LAST)
        while await reader.read(65536):
            pass

    async with listening(serve) as port, calling(port) as caller:
        assert await caller.ask(0, 1, 2) == [(ANSWERED, b"hi", "")] * 3


@run
async def test_an_answer_before_the_request_has_left() -> None:
    """The rest of the request is not sent, and its stream is reset."""
    codes: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(settings({}))
        await reader.readexactly(len(PREFACE))
        found, answered = frames.FrameReader(2**24), False
        while chunk := await reader.read(65536):
            for kind, _, _, payload in found.feed(chunk):
                if kind == frames.DATA and not answered:
                    answered = True
                    writer.write(ends((b":status", b"200"), (b"grpc-status", b"8")))
                if kind == frames.RST_STREAM:
                    codes.append(int.from_bytes(payload))

    async with listening(serve) as port, calling(port, bytes(10**6)) as caller:
        assert await caller.ask(0) == [(REFUSED, b"", "gRPC RESOURCE_EXHAUSTED: ")]
        await caller.until(lambda: codes == [frames.Code.CANCEL])


def test_answers_that_are_larger_than_the_memory_for_them(monkeypatch) -> None:
    monkeypatch.setattr("pipelines.loadtest.generator.grpc.MAX_ARRIVING", 10**6)

    async def test() -> None:
        async with grpc_server() as port, calling(port, bytes(3 * 10**6), b"hi") as caller:
            ((found, body, text),) = await caller.ask(0)
            assert (found, body, text) == (BROKEN, b"", f"gRPC: {TOO_MUCH}")
            assert await caller.ask(1) == [(ANSWERED, b"hi", "")]
            assert caller.transport.arriving == 0

    asyncio.run(asyncio.wait_for(test(), LIMIT_S))


@run
async def test_against_this_repositorys_server() -> None:
    """Large messages both ways at once: neither end may wait for the other to read."""
    from serving.http2.grpc_server import ServerRules
    from serving.http2.server_connection import ServerConnection

    alive: set[ServerConnection] = set()
    rules = ServerRules({b"/t.T/Echo": lambda call: call.answer(call.body)})
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ServerConnection(rules, alive), LOOPBACK, 0)
    async with calling(server.sockets[0].getsockname()[1], bytes(20_000_000), b"x") as caller:
        found = await caller.ask(*range(12))
        assert [(each[0], len(each[1])) for each in found] == [(ANSWERED, 20_000_000), (ANSWERED, 1)] * 6
        for connection in alive:
            connection.drain()
        assert (await caller.ask(13))[0][0] is ANSWERED
    server.close()
    await caller.until(lambda: not alive)
