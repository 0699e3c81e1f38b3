"""Measures both ends of a connection over loopback, the server in a process of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from multiprocessing.connection import Connection as Pipe

import uvloop
from common import ANSWER, WARM_UP
from grpc_ends import GrpcClient, start_server
from kinds import CLIENTS, GRPCIO, SERVERS

from serving.launch import LOOPBACK


def serve(kind: str, pipe: Pipe) -> None:
    """Serves; sends first the port, then its CPU time at each request of the pipe."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        if kind == GRPCIO:
            server, port = await start_server()
        else:
            server = await loop.create_server(lambda: SERVERS[kind](), LOOPBACK, 0)
            port = server.sockets[0].getsockname()[1]
        pipe.send(port)
        over = asyncio.Event()

        def say() -> None:
            if pipe.recv():
                pipe.send(time.process_time_ns())
            else:
                over.set()

        loop.add_reader(pipe.fileno(), say)
        await over.wait()
        if kind == GRPCIO:
            await server.stop(None)

    uvloop.run(run())


class Remote:
    """A server in a process of its own."""

    def __init__(self, kind: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(kind, theirs))
        self._process.start()
        self.port: int = self._pipe.recv()

    def cpu_ns(self) -> int:
        self._pipe.send(True)
        spent: int = self._pipe.recv()
        return spent

    def stop(self) -> None:
        self._pipe.send(False)
        self._process.join()


class Load:
    """Keeps a number of calls in flight on one connection."""

    def __init__(self, kind: str) -> None:
        self._left = 0
        self._open = 0
        self._done = asyncio.Event()
        self.client = GrpcClient(self._answered) if kind == GRPCIO else CLIENTS[kind](self._answered)

    async def open(self, port: int) -> None:
        if isinstance(self.client, GrpcClient):
            await self.client.open(port)
        else:
            protocol = self.client
            loop = asyncio.get_running_loop()
            self._transport, _ = await loop.create_connection(lambda: protocol, LOOPBACK, port)
            await protocol.ready.wait()

    async def close(self) -> None:
        if isinstance(self.client, GrpcClient):
            await self.client.close()
        else:
            self._transport.close()

    async def run(self, calls: int, in_flight: int) -> None:
        self._done.clear()
        self._left, self._open = calls - in_flight, in_flight
        for _ in range(in_flight):
            self.client.request()
        await self._done.wait()

    def _answered(self, answer: bytes) -> None:
        assert answer == ANSWER
        if self._left:
            self._left -= 1
            self.client.request()
            return
        self._open -= 1
        if not self._open:
            self._done.set()


async def over_loopback(kind: str, remote: Remote, calls: int, in_flight: int) -> tuple[float, float]:
    """Returns the CPU microseconds a call of the client and of the server."""
    load = Load(kind)
    await load.open(remote.port)
    await load.run(WARM_UP, in_flight)
    theirs, mine = remote.cpu_ns(), time.process_time_ns()
    await load.run(calls, in_flight)
    mine, theirs = time.process_time_ns() - mine, remote.cpu_ns() - theirs
    await load.close()
    return mine / calls / 1e3, theirs / calls / 1e3
