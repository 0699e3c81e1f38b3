from __future__ import annotations

import asyncio
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable

import pytest

from pipelines.loadtest.generator.sockets import NS_PER_S, STAMPS, StampedTransport, WallClock, connect, listen, resolve
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


def test_what_comes_later_has_not_arrived_earlier() -> None:
    """A piece of 16 bytes is read in 16 steps: all have the same stamp, converted each time."""

    async def test(client: Peer, server: Peer) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipelines.loadtest.generator.sockets._INTO", (memoryview(bytearray(1)),))
            for number in range(1, 21):
                client.transport.write(bytes(16))
                await until(lambda wanted=16 * number: len(server.data) == wanted)
            received = [stamp for stamp, _ in server.stamps]
            assert len(received) == 320
            assert received == sorted(received)

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
    for extra in ([], [(0, STAMPS, bytes(24))], [(0, 1, bytes(48))]):  # nothing, another system's, another matter
        assert before <= WallClock().stamp_ns(extra) <= time.monotonic_ns()


class Clocks:
    """Simulated clocks: 10 us per reading, and more where the process is interrupted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.true_ns, self.wall_ahead_ns, self.interrupted_ns = 7 * NS_PER_S, 1_000 * NS_PER_S, 0
        monkeypatch.setattr(time, "time_ns", lambda: self._read() + self.wall_ahead_ns)
        monkeypatch.setattr(time, "monotonic_ns", self._read)

    def _read(self) -> int:
        self.true_ns += 10_000 + self.interrupted_ns
        return self.true_ns

    def stamp(self) -> tuple[int, list[tuple[int, int, bytes]]]:
        """Return the kernel's stamp of bytes that arrive now: (on the monotonic clock, as ancillary data)."""
        wall = self.true_ns + self.wall_ahead_ns
        return self.true_ns, [(0, STAMPS, struct.pack("@6q", *divmod(wall, NS_PER_S), 0, 0, 0, 0))]


def test_an_interrupted_process_never_makes_a_stamp_earlier(monkeypatch) -> None:
    clocks = Clocks(monkeypatch)
    wall = WallClock()
    for interrupted_ns in (0, 300_000, 5_000_000, 0, 0):
        arrived, extra = clocks.stamp()
        clocks.true_ns += 2_000_000  # until it is read
        clocks.interrupted_ns = interrupted_ns
        found = wall.stamp_ns(extra)
        clocks.interrupted_ns = 0
        assert arrived <= found <= clocks.true_ns
        if interrupted_ns < 1_000_000:
            assert found <= arrived + interrupted_ns + 20_000 or found == clocks.true_ns
    assert found <= arrived + 20_000  # and it has found its way back


@pytest.mark.parametrize("step_s", [-3, 3])
def test_a_wall_clock_that_is_set_moves_no_stamp(monkeypatch, step_s: int) -> None:
    clocks = Clocks(monkeypatch)
    wall = WallClock()
    arrived, extra = clocks.stamp()
    clocks.wall_ahead_ns += step_s * NS_PER_S
    assert wall.stamp_ns(extra) == clocks.true_ns
    arrived, extra = clocks.stamp()
    clocks.true_ns += 2_000_000
    assert arrived <= wall.stamp_ns(extra) <= arrived + 20_000
