from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Awaitable, Callable

import pytest

from pipelines.loadtest.stamped import StampedTransport, connect, listen, resolve, stamp_ns
from serving.launch import LOOPBACK

LIMIT_S = 10.0


class Peer(asyncio.Protocol):
    """Collects what comes, and notes what happens."""

    def __init__(self) -> None:
        self.data, self.stamps, self.said = bytearray(), [], []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, StampedTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.stamps.append((self.transport.received_ns, time.monotonic_ns()))

    def pause_writing(self) -> None:
        self.said.append("pause")

    def resume_writing(self) -> None:
        self.said.append("resume")

    def connection_lost(self, error: Exception | None) -> None:
        self.said.append("lost" if error is None else type(error).__name__)


async def until(condition: Callable[[], object]) -> None:
    async def poll() -> None:
        while not condition():
            await asyncio.sleep(0.002)

    await asyncio.wait_for(poll(), LIMIT_S)


def connected(test: Callable[[Peer, Peer], Awaitable[None]]) -> None:
    """Runs a test with both ends of a connection."""

    async def run() -> None:
        loop, accepted = asyncio.get_running_loop(), []

        def make() -> Peer:
            accepted.append(Peer())
            return accepted[-1]

        with listen(loop, make, LOOPBACK, 0) as server:
            client = Peer()
            await connect(loop, client, resolve(LOOPBACK, server.getsockname()[1]))
            await until(lambda: accepted)
            await test(client, accepted[0])
            for peer in (client, accepted[0]):
                peer.transport.abort()
            await until(lambda: "lost" in str(client.said + accepted[0].said).lower())
            loop.remove_reader(server.fileno())

    asyncio.run(run())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="stamps are Linux's")
def test_a_stamp_is_the_arrival_and_not_the_reading() -> None:
    async def test(client: Peer, server: Peer) -> None:
        for _ in range(50):  # the kernel may take a moment to begin
            server.stamps.clear()
            sent = time.monotonic_ns()
            client.transport.write(b"x")
            while time.monotonic_ns() < sent + 20_000_000:  # the reader is busy
                pass
            await until(lambda: server.stamps)
            received, read = server.stamps[0]
            assert sent <= received <= read
            assert read >= sent + 20_000_000
            if received < sent + 10_000_000:
                return
        pytest.fail("never a stamp")

    connected(test)


def test_what_does_not_fit_waits_and_nothing_is_lost() -> None:
    async def test(client: Peer, server: Peer) -> None:
        server.transport.pause_reading()
        data = bytes(range(256)) * 40_000
        client.transport.write(data)
        client.transport.writelines([b"and ", b"more"])
        assert client.said == ["pause"]
        assert client.transport.get_write_buffer_size() > 0
        client.transport.write_eof()
        server.transport.resume_reading()
        await until(lambda: len(server.data) == len(data) + 8)
        assert server.data == data + b"and more"
        assert client.said[:2] == ["pause", "resume"]
        await until(lambda: server.said == ["lost"])  # it saw the end

    connected(test)


def test_closing_sends_what_was_written_first() -> None:
    async def test(client: Peer, server: Peer) -> None:
        client.transport.write(bytes(5_000_000))
        client.transport.close()
        client.transport.write(b"too late")
        await until(lambda: "lost" in server.said)
        assert len(server.data) == 5_000_000

    connected(test)


def test_an_exception_of_the_protocol_ends_the_connection() -> None:
    async def test(client: Peer, server: Peer) -> None:
        reported: list[dict] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        server.data_received = lambda _data: 1 / 0
        client.transport.write(b"x")
        await until(lambda: server.said == ["OSError"])
        assert isinstance(reported[0]["exception"], ZeroDivisionError)

    connected(test)


def test_nobody_listens() -> None:
    async def test() -> None:
        with socket.create_server((LOOPBACK, 0)) as server:
            where = resolve(LOOPBACK, server.getsockname()[1])
        with pytest.raises(ConnectionRefusedError, match="Connection refused"):
            await connect(asyncio.get_running_loop(), Peer(), where)

    asyncio.run(test())


def test_without_a_stamp_it_is_now() -> None:
    before = time.monotonic_ns()
    assert before <= stamp_ns([]) <= time.monotonic_ns()
