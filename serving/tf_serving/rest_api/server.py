"""Listen for HTTP/1.1 requests, and stop gracefully. It has no routes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from email.utils import formatdate

from serving.tf_serving.rest_api.connection import Connection, HttpLimits, Service
from serving.tf_serving.rest_api.message import Request, Response

UPLOAD_S = 5.0
"""Time that a body may still take after a signal to stop: a container gets ten seconds in all."""
_BACKLOG = 128
_CHECK_S = 0.5  # between two checks for clients that missed their deadline
_LOOK_S = 0.02


class HttpServer:
    """Answers each request by calling ``answer``, which raises nothing."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]], limits: HttpLimits) -> None:
        self._service = Service(answer, limits)

    @property
    def connections(self) -> frozenset[Connection]:
        """The open connections."""
        return frozenset(self._service.connections)

    async def start(self, bound: socket.socket) -> None:
        """Start accepting connections. Raises OSError if another process listens there."""
        self._loop = asyncio.get_running_loop()
        self._listening = await self._loop.create_server(
            lambda: Connection(self._service), sock=bound, backlog=_BACKLOG
        )
        self._check()

    def _check(self) -> None:
        """Close overdue connections, and renew the date that answers carry."""
        self._service.date = formatdate(usegmt=True)
        now = self._loop.time()
        for connection in [one for one in self.connections if one.deadline < now]:
            connection.give_up()
        self._timer = self._loop.call_later(_CHECK_S, self._check)

    async def stop(self, finish_s: float) -> None:
        """End every connection: idle ones now, others once their bodies have arrived and their answers are sent."""
        self._listening.close()
        for connection in self.connections:
            connection.end()
        await self._until(lambda: not any(one.is_receiving for one in self.connections), UPLOAD_S)
        for connection in self.connections:
            connection.break_off(ConnectionResetError("the server is stopping"))
        await self._until(lambda: not self.connections, finish_s)
        self._timer.cancel()
        for connection in self.connections:
            connection.give_up()

    async def _until(self, condition: Callable[[], bool], limit_s: float) -> None:
        last = self._loop.time() + limit_s
        while not condition() and self._loop.time() < last:
            await asyncio.sleep(_LOOK_S)
