"""How many frames a peer may send that cost it less than they cost this side."""

from __future__ import annotations

import time

from serving.http2.frames import Code, Http2Error

PERIOD_S = 60.0


class Budget:
    """``most`` in a minute, counted from the first; over it the peer is hung up on."""

    __slots__ = ("_began", "_most", "_spent", "_what")

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._spent = 0
        self._began = time.monotonic()

    def spend(self, count: int = 1) -> None:
        """Raises Http2Error: ENHANCE_YOUR_CALM, it is used up."""
        self._spent += count
        if self._spent > self._most:
            now = time.monotonic()
            if now - self._began < PERIOD_S:
                raise Http2Error(Code.ENHANCE_YOUR_CALM, f"{self._what}: over {self._most} a minute")
            self._spent, self._began = count, now
