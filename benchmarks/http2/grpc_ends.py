"""Both ends of a connection by grpcio's asyncio interface, messages as bytes."""

from __future__ import annotations

import asyncio

import grpc
from clients import Answered
from common import ANSWER, BODY, PATH

from serving.launch import LOOPBACK


async def start_server() -> tuple[grpc.aio.Server, int]:
    """Returns a running server and its port."""

    async def answer(_body: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        return ANSWER

    _, service, method = PATH.decode().split("/")
    server = grpc.aio.server()
    handlers = {method: grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    await server.start()
    return server, port


class GrpcClient:
    """Asks over one channel."""

    def __init__(self, answered: Answered) -> None:
        self._answered = answered
        self._running: set[asyncio.Task[None]] = set()

    async def open(self, port: int) -> None:
        # A channel of its own: those of one process share connections otherwise.
        self._channel = grpc.aio.insecure_channel(f"{LOOPBACK}:{port}", [("grpc.use_local_subchannel_pool", 1)])
        self._ask = self._channel.unary_unary(PATH.decode())
        await self._channel.channel_ready()

    def request(self) -> None:
        """Sends a request."""
        task = asyncio.get_running_loop().create_task(self._call())
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _call(self) -> None:
        self._answered(await self._ask(BODY))

    async def close(self) -> None:
        await self._channel.close()
