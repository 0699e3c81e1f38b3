"""HTTP/1.1 connections with the time-outs, order of answers and closing of tensorflow/serving (libevent)."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

from serving.limits import LINGER_BYTES, LINGER_S, Held, half_of_memory
from serving.tf_serving.rest_api.message import Request, Response, html
from serving.tf_serving.rest_api.reader import RequestReader

KEEP_ALIVE_S = 3630.0
"""Time that a connection may stay idle after an answer: longer than the idle time-out of any proxy."""
LAST_LINGER_S = 1.0
"""LINGER_S while the server stops."""
_MANY = 65_536  # bytes: a larger body is not copied to join it with the head


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits of requests: ``head_s`` seconds for a head (the first counts from connecting), ``max_body`` bytes.

    ``held`` limits the bodies of all requests together.
    """

    head_s: float
    max_body: int
    held: Held = field(default_factory=lambda: Held(half_of_memory()))


@dataclass(slots=True)
class Service:
    """Shared state of a server's connections: ``answer`` raises nothing, ``date`` is the Date header of answers."""

    answer: Callable[[Request], Awaitable[Response]]
    limits: HttpLimits
    connections: set[RestConnection] = field(default_factory=set)
    date: str = ""


class RestConnection(asyncio.Protocol):
    """Answers the requests of one connection, one after the other."""

    _transport: asyncio.Transport

    def __init__(self, service: Service) -> None:
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._requests: deque[Request] = deque()  # unanswered; the first one is being answered
        self._task: asyncio.Task[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._ends = False  # close after the last of the requests
        self._stops = False  # the server stops
        self._dropped = -1  # bytes after the last request; -1 while there may be more requests
        self.deadline = math.inf  # until which the client must send more

    @property
    def is_receiving(self) -> bool:
        """True while the body of a request is incomplete."""
        return self._reader.arriving is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        limits = self._service.limits
        self._reader = RequestReader(limits.max_body, limits.held, self._transport.write, self._begin)
        self.deadline = self._loop.time() + self._service.limits.head_s
        self._service.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._dropped >= 0:
            self._dropped += len(data)
            if self._dropped > LINGER_BYTES:
                self._transport.abort()
            return
        self._reader.feed(data)
        if self._reader.is_in_head and not self._requests:
            self.deadline = min(self.deadline, self._loop.time() + self._service.limits.head_s)

    def _begin(self, request: Request) -> None:
        """Queue a request whose head has arrived, and start answering."""
        self.deadline = math.inf
        self._requests.append(request)
        if self._task is None:
            self._task = self._loop.create_task(self._answer_all())
        else:
            self._transport.pause_reading()

    async def _answer_all(self) -> None:
        while self._requests:
            request = self._requests[0]
            answer = html(request.refused) if request.refused else await self._service.answer(request)
            if self._transport.is_closing():
                return
            closes = answer.closes or not (request.keeps_alive and request.is_complete)
            closes = closes or (self._ends and len(self._requests) == 1)
            self._write(request, answer, closes)
            del answer
            if self._writable is not None:
                await self._writable
            self._requests.popleft().drop()
            if closes or (self._ends and not self._requests):
                self._close(request)
                return
            if len(self._requests) == 1:
                self._transport.resume_reading()
        self._task = None
        self.deadline = self._loop.time() + (self._service.limits.head_s if self._reader.is_in_head else KEEP_ALIVE_S)

    def _write(self, request: Request, answer: Response, closes: bool) -> None:
        connection = "close" if closes else "keep-alive" if request.version == "1.0" else ""
        head = answer.head(self._service.date, connection)
        body = b"" if request.method == "HEAD" else answer.body
        if len(body) < _MANY:
            self._transport.write(head + body)
        else:
            self._transport.writelines([head, body])

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # -- the end --------------------------------------------------------------------------------------

    def _close(self, request: Request) -> None:
        """Close the connection once all is written; if the client may still be sending, wait until it stops."""
        self._reader.drop()
        has_ended = self._ends and not self._stops  # the client sends no more
        if has_ended or (request.is_complete and not self._requests):
            self._transport.close()
            return
        self._drop_requests()
        self._dropped = 0
        self.deadline = self._loop.time() + (LAST_LINGER_S if self._stops else LINGER_S)
        self._transport.write_eof()
        self._transport.resume_reading()

    def eof_received(self) -> bool:
        """Return True to keep the connection open: a client that stopped sending may still wait for answers."""
        self._ends, self._stops = True, False
        if self.is_receiving:
            return False
        self._reader.end()
        return bool(self._requests)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Stop working for a client that is gone, and free the bodies of its requests."""
        self._service.connections.discard(self)
        self._reader.drop()
        self._drop_requests()
        if self._task is not None:
            self._task.cancel()

    def _drop_requests(self) -> None:
        for request in self._requests:
            request.is_gone = True
            request.drop()
        self._requests.clear()

    def end(self) -> None:
        """Close the connection once its requests are answered, because the server stops."""
        if not self._ends:
            self._ends = self._stops = True
        self._reader.end()
        if self._dropped >= 0:
            self.deadline = min(self.deadline, self._loop.time() + LAST_LINGER_S)
        elif not self._requests:
            self._transport.close()

    def break_off(self, reason: Exception) -> None:
        """Fail the request whose body is still arriving, if there is one."""
        if self._reader.arriving is not None:
            self._reader.arriving.break_off(reason)

    def give_up(self) -> None:
        """Abort the connection of a client that missed its deadline."""
        self._transport.abort()
