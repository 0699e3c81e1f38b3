"""The ground truth over gRPC: any method is an order, messages are bytes."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc

from pipelines.loadtest.truth.behaviour import HTTP_FAULTS
from pipelines.loadtest.truth.clock import Clock, wrong_bytes

OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


class Handler(grpc.GenericRpcHandler):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._previous = b"none before it"

    def service(self, details: Any) -> Any:
        async def answer(body: bytes, context: Any) -> bytes:
            return await self._answer(details.method, body, context)

        return grpc.unary_unary_rpc_method_handler(answer)

    async def _answer(self, path: str, body: bytes, context: Any) -> bytes:
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        previous, self._previous = self._previous, body

        def reply(fault: str) -> None:
            if not done.done():  # the client has gone
                done.set_result(fault)

        try:
            self._clock.take(path, time.monotonic_ns(), reply)
        except ValueError as error:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, str(error))
        fault = await done
        if fault == "error":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "too  busy")
        if fault in HTTP_FAULTS:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{fault} is a fault of HTTP")
        if fault == "silent":
            await asyncio.Event().wait()
        if fault == "metadata":
            return str(dict(context.invocation_metadata())["authorization"]).encode()
        return wrong_bytes(fault, body, previous)


async def serve(port: int, host: str) -> None:
    """Prints the port, and serves until the process ends."""
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((Handler(Clock(asyncio.get_running_loop())),))
    print(server.add_insecure_port(f"{host}:{port}"), flush=True)
    await server.start()
    await server.wait_for_termination()
