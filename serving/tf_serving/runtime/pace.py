"""Estimate the time of a repeated operation from its input's size."""

from __future__ import annotations

from collections.abc import Callable

_WEIGHT = 0.1
"""Weight of a new value in the average; small, so that one delayed call has little effect."""


class Pace:
    """Average seconds by size, in powers of two. Threads share it without a lock: a lost update does no harm.

    ``clock`` is the clock to measure with. ``time.thread_time`` is the best one, since it does not count waiting,
    but it counts only the work of the calling thread.
    """

    __slots__ = ("_seconds", "clock")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._seconds: dict[int, float] = {}

    def expected(self, size: int) -> float:
        """Return the running average in seconds; infinity for a size without any value."""
        return self._seconds.get(size.bit_length(), float("inf"))

    def note(self, size: int, seconds: float) -> None:
        """Add a measured time to the average."""
        key = size.bit_length()
        known = self._seconds.get(key, seconds)
        self._seconds[key] = known + _WEIGHT * (seconds - known)
