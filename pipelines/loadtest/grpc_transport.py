"""gRPC unary calls over grpc.aio, with bytes for messages on both sides: no protocol buffers involved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import grpc

from pipelines.loadtest.recording import Outcome
from pipelines.loadtest.transport import Finished
from serving.clients import Call

OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # a server under test is addressed directly
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", 256 * 2**20),
    ("grpc.initial_reconnect_backoff_ms", 100),  # a server that comes back is found again
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class GrpcTransport:
    """All requests over one HTTP/2 connection."""

    def __init__(self, call: Call, bodies: Sequence[bytes], finished: Finished) -> None:
        address = urlsplit(call.url)
        self._channel = grpc.aio.insecure_channel(address.netloc, options=OPTIONS)
        self._method = self._channel.unary_unary(call.path)
        self._metadata = tuple((name.lower(), value) for name, value in call.headers.items())
        self._bodies = bodies
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._finished = finished

    def send(self, index: int) -> None:
        call = self._method(self._bodies[index % len(self._bodies)], metadata=self._metadata)
        self._tasks[index] = self._loop.create_task(self._wait(index, call))

    async def _wait(self, index: int, call: grpc.aio.UnaryUnaryCall) -> None:
        outcome, answer, text = Outcome.ANSWERED, b"", ""
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            lost = error.code() is grpc.StatusCode.UNAVAILABLE
            outcome = Outcome.BROKEN if lost else Outcome.REFUSED
            text = f"gRPC {error.code().name}: {error.details()}"
        except (grpc.aio.UsageError, grpc.aio.InternalError) as error:
            outcome, text = Outcome.BROKEN, f"gRPC: {error}"
        done_ns = time.monotonic_ns()
        if self._tasks.pop(index, None) is not None:  # None: aborted in the same turn of the loop
            self._finished(index, outcome, done_ns, answer, text)

    def abort(self, index: int) -> None:
        self._tasks.pop(index).cancel()

    async def close(self) -> None:
        for index in list(self._tasks):
            self.abort(index)
        await self._channel.close()
