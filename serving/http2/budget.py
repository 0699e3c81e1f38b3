"""Limit the frames that cost the peer less than they cost this side."""

from __future__ import annotations

import time

from serving.http2.frames import Code, Http2Error

PERIOD_S = 60.0


class Budget:
    """A limit of ``most`` per minute; a peer that exceeds it is disconnected."""

    __slots__ = ("_began", "_most", "_spent", "_what")

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._spent = 0
        self._began = time.monotonic()

    def spend(self, count: int = 1) -> None:
        """Count frames. Raises Http2Error: ENHANCE_YOUR_CALM, the limit is exceeded."""
        self._spent += count
        if self._spent > self._most:
            now = time.monotonic()
            if now - self._began < PERIOD_S:
                raise Http2Error(Code.ENHANCE_YOUR_CALM, f"{self._what}: over {self._most} a minute")
            self._spent, self._began = count, now
