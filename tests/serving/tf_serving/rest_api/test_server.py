"""The HTTP server alone, over sockets, with answers that a test makes: time, order, memory, and clients that leave."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from serving.launch import LOOPBACK
from serving.tf_serving.base.ports import bound
from serving.tf_serving.rest_api.message import Request, Response
from serving.tf_serving.rest_api.server import HttpLimits, HttpServer

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
Answer = Callable[[Request], Awaitable[Response]]


def go(
    answer: Answer, client: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], **limits: float
):
    """Runs a client against a server with these answers; the server ends within seconds, whatever it did."""

    async def run() -> None:
        server = HttpServer(answer, HttpLimits(limits.get("head_s", 30.0), int(limits.get("max_body", 10**8))))
        listening = bound(LOOPBACK, 0)
        await server.start(listening)
        try:
            async with asyncio.timeout(20):
                reader, writer = await asyncio.open_connection(LOOPBACK, listening.getsockname()[1])
                await client(reader, writer)
                writer.close()
        finally:
            await server.stop(5.0)
        assert not server.connections

    asyncio.run(run())


async def echo(request: Request) -> Response:
    return Response(200, "OK", await request.body() or request.target.encode(), "text/plain")


async def response(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of the next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head, await reader.readexactly(length)


def test_work_for_a_client_that_is_gone_is_cancelled():
    begun, cancelled = asyncio.Event(), asyncio.Event()
    seen: list[Request] = []

    async def answer(request: Request) -> Response:
        seen.append(request)
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError("nobody set it")

    async def client(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GET)
        await begun.wait()
        assert not seen[0].is_gone
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await cancelled.wait()
        assert seen[0].is_gone

    go(answer, client)


def test_a_later_head_that_does_not_end_is_given_up():
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            writer.write(GET)
            assert (await response(reader))[1] == b"/x"
        writer.write(GET[:10])
        assert await reader.read() == b""

    go(echo, client, head_s=0.3)


@pytest.mark.parametrize("refused", [b"Expect: 200-ok\r\n", b"Transfer-Encoding: gzip\r\n", b"Host: b\r\n"])
def test_a_client_that_sends_all_before_it_reads_gets_the_refusal(refused: bytes):
    async def answer(_: Request) -> Response:
        return Response(417, "Expectation Failed", b"no", "text/plain", closes=True)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = b"" if b"Transfer" in refused else b"Content-Length: 30000000\r\n"
        writer.write(b"POST /x HTTP/1.1\r\nHost: a\r\n" + refused + length + b"\r\n")
        for _ in range(30):
            writer.write(bytes(10**6))
            await writer.drain()
        assert (await reader.read()).startswith((b"HTTP/1.1 4", b"HTTP/1.1 501 "))

    go(answer, client)


def test_a_client_that_is_still_sending_gets_the_answer_when_the_server_stops():
    async def run() -> None:
        server = HttpServer(refuse, HttpLimits(30.0, 10**8))
        listening = bound(LOOPBACK, 0)
        await server.start(listening)
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(LOOPBACK, listening.getsockname()[1])
            writer.write(GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 30000000\r\n\r\n"))
            await begun.wait()
            stopping = asyncio.create_task(server.stop(5.0))
            while not any(one._ends for one in server.connections):
                await asyncio.sleep(0)
            goes_on.set()
            for _ in range(20):
                writer.write(bytes(10**6))
                await writer.drain()
            assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
            writer.close()
            await stopping
            assert not server.connections

    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def refuse(_: Request) -> Response:
        begun.set()
        await goes_on.wait()
        return Response(413, "Too Large", b"no", "text/plain", closes=True)

    asyncio.run(run())


def test_answers_that_nobody_reads_are_not_made():
    made = 0

    async def answer(_: Request) -> Response:
        nonlocal made
        made += 1
        return Response(200, "OK", bytes(10**7), "text/plain")

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GET * 20)
        for number in range(1, 21):
            await response(reader)
            assert made <= number + 2
        assert made == 20

    go(answer, client)


def test_a_head_alone_and_the_old_version():
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GET.replace(b"GET", b"HEAD") + GET.replace(b"1.1\r\n", b"1.0\r\nConnection: keep-alive\r\n"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: 2\r\n" in head
        head, body = await response(reader)
        assert (b"Connection: keep-alive" in head, body) == (True, b"/x")
        writer.write(GET.replace(b"1.1", b"1.0"))
        head, body = await response(reader)
        assert (b"Connection: close" in head, body, await reader.read()) == (True, b"/x", b"")

    go(echo, client)


@pytest.mark.parametrize("step", [1, 7, 10**6])
def test_offers_to_upgrade_are_declined_wherever_they_are_cut(step: int):
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
    one = GET.replace(b"\r\n\r\n", b"\r\n" + offer)
    two = GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n" + offer) + b"abc"
    three = GET.replace(b"GET", b"PUT").replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n" + offer)
    sent = (one + two + three + b"2\r\nde\r\n0\r\n\r\n") * 20

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for start in range(0, len(sent), step):
            writer.write(sent[start : start + step])
            await writer.drain()
        assert [(await response(reader))[1] for _ in range(60)] == [b"/x", b"abc", b"de"] * 20

    go(echo, client)


def test_small_pieces_of_a_body_do_not_cost_many_times_their_size():
    import tracemalloc

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"))
        tracemalloc.start()
        try:
            for _ in range(20):
                writer.write(b"1\r\na\r\n" * 10_000)
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            assert (await response(reader))[1] == b"a" * 200_000
            assert tracemalloc.get_traced_memory()[1] < 3_000_000
        finally:
            tracemalloc.stop()

    go(echo, client)
