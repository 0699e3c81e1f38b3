"""Server-sent events: what happens is told to every open page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import orjson

WAITING = 1_000
"""So many events may wait for one page. A page that is slower is let go: it connects again, and gets the state."""
HEARTBEAT_S = 10.0

Event = tuple[str, Any]
"""A name, and data that JSON can hold."""


class Hub:
    """Passes events on. All methods are for the event loop's thread."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes | None]] = set()
        self._closed = False

    def publish(self, name: str, data: Any) -> None:
        """Send an event to every page."""
        message = _encoded((name, data))
        for queue in list(self._queues):
            if queue.qsize() >= WAITING:
                self._queues.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(message)

    def close(self) -> None:
        """End every stream."""
        self._closed = True
        for queue in self._queues:
            queue.put_nowait(None)

    async def stream(self, first: Callable[[], Iterable[Event]]) -> AsyncIterator[bytes]:
        """Yield the state that ``first`` gives, then the events that follow it, as the bytes of an event stream."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            for event in first():
                yield _encoded(event)
            while not self._closed:
                try:
                    message = await asyncio.wait_for(queue.get(), HEARTBEAT_S)
                except TimeoutError:
                    message = b": still here\n\n"  # a page that has gone shows when it is written to
                if message is None:
                    return
                yield message
        finally:
            self._queues.discard(queue)


def _encoded(event: Event) -> bytes:
    name, data = event
    return f"event: {name}\ndata: ".encode() + orjson.dumps(data) + b"\n\n"
