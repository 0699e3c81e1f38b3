"""Requests that compute, one after the other: a request whose client has left, or whose time is up, is not computed.

A prediction occupies the event loop. Without turns, all requests that have arrived would run before the loop hears
of the clients that have left meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from serving.open_inference.errors import Unwanted


class Turns:
    """One turn at a time, in the order of asking."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, is_wanted: Callable[[], Awaitable[bool]]) -> AsyncIterator[None]:
        """Wait for a turn, and take it. Raises Unwanted if nobody waits for the answer by then."""
        async with self._lock:
            await asyncio.sleep(0)  # the loop hears of clients that have left
            if not await is_wanted():
                raise Unwanted("nobody waits for the answer")
            yield
