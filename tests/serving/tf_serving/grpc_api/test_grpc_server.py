"""The end of the gRPC server, and the passing of work between its threads; neither needs a model."""

from __future__ import annotations

import asyncio
import threading
import time

import grpc
import pytest

from serving.launch import LOOPBACK, free_port
from serving.limits import Held
from serving.tf_serving.base.errors import ServingError
from serving.tf_serving.base.workers import Outbox, Workers
from serving.tf_serving.grpc_api.reply import MAX_MESSAGE, check_is_wanted, fail
from serving.tf_serving.grpc_api.server import GrpcServer
from serving.tf_serving.settings.flags import Flags

LIMIT_S = 20.0


def test_stop_waits_for_the_calls_that_run_and_no_longer():
    """It waits for the calls of an active client; a client that never sends anything does not delay it."""

    async def test() -> None:
        loop, port = asyncio.get_running_loop(), free_port()
        methods = {b"/t.T/Later": lambda call: loop.call_later(0.5, call.answer, bytes(3_000_000))}
        server = GrpcServer(methods, Flags(port=port), Held(2**30))
        await server.start()
        silent = await asyncio.open_connection(LOOPBACK, port)
        async with grpc.aio.insecure_channel(f"{LOOPBACK}:{port}") as channel:
            calls = [channel.unary_unary("/t.T/Later")(b"", timeout=LIMIT_S) for _ in range(10)]
            running = [asyncio.ensure_future(call) for call in calls]
            while not any(connection._calls for connection in server._alive):
                await asyncio.sleep(0.005)
            await asyncio.sleep(0)
            began = time.monotonic()
            await server.stop(LIMIT_S)
            assert 0.3 < time.monotonic() - began < LIMIT_S / 2
            assert {len(answer) for answer in await asyncio.gather(*running)} == {3_000_000}
            with pytest.raises(grpc.RpcError) as caught:
                await channel.unary_unary("/t.T/Later")(b"", timeout=LIMIT_S)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        silent[1].close()

    asyncio.run(asyncio.wait_for(test(), 3 * LIMIT_S))


def test_stop_has_a_limit():
    async def test() -> None:
        port = free_port()
        server = GrpcServer({b"/t.T/Never": [].append}, Flags(port=port), Held(2**30))
        await server.start()
        async with grpc.aio.insecure_channel(f"{LOOPBACK}:{port}") as channel:
            running = asyncio.ensure_future(channel.unary_unary("/t.T/Never")(b"", timeout=LIMIT_S))
            while not any(connection._calls for connection in server._alive):
                await asyncio.sleep(0.005)
            await server.stop(0.2)
            with pytest.raises(grpc.RpcError):
                await running
        assert not server._alive

    asyncio.run(asyncio.wait_for(test(), 3 * LIMIT_S))


def test_nothing_that_is_posted_gets_lost():
    """Jobs come from many threads at once, and each thread's run in order; one that raises does not stop the others."""
    threads, each = 8, 3000

    async def test() -> None:
        outbox, workers = Outbox(asyncio.get_running_loop()), Workers(threads, "test")
        found: dict[int, list[int]] = {number: [] for number in range(threads)}
        start = threading.Barrier(threads)

        def post(number: int) -> None:
            start.wait(LIMIT_S)
            for count in range(each):
                outbox.post(lambda count=count: found[number].append(count))
                if count % 1000 == 0:
                    outbox.post(lambda: found["none"])

        for number in range(threads):
            workers.do(lambda number=number: post(number))
        while workers.busy or any(len(counts) < each for counts in found.values()):
            await asyncio.sleep(0.01)
        assert all(counts == list(range(each)) for counts in found.values())

    asyncio.run(asyncio.wait_for(test(), LIMIT_S))


class Recorded:
    """A call that records its end."""

    is_over = False
    text = ""

    def fail(self, _code: str, text: str) -> None:
        self.text = text

    def is_late(self) -> bool:
        return True


def test_long_messages_are_cut_by_bytes():
    for message, kept in (("é" * 512, 512), ("é" * 513, 512), ("x" + "é" * 600, 512), ("x" * 1024, 1024)):
        call = Recorded()
        fail(call, ServingError("INTERNAL", message))
        text = call.text.removesuffix("...TRUNCATED")
        assert len(text) == kept
        assert len(text.encode()) <= MAX_MESSAGE
        assert message.startswith(text)


def test_nobody_works_on_what_nobody_waits_for():
    call = Recorded()
    with pytest.raises(ServingError) as caught:
        check_is_wanted(call)
    assert caught.value.code == "DEADLINE_EXCEEDED"
    call.is_over = True
    with pytest.raises(ServingError) as caught:
        check_is_wanted(call)
    assert caught.value.code == "CANCELLED"
