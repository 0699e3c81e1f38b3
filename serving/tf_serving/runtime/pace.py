"""How long something takes that is done again and again, by the size of what it is done to."""

from __future__ import annotations

from collections.abc import Callable

_WEIGHT = 0.1
"""Of a new value: one that something else held up does not count for much."""


class Pace:
    """Seconds by size, in powers of two. Used by several threads: a value that gets lost does no harm.

    ``clock`` is what they are taken with. Best is ``time.thread_time``, which does not count waiting for others,
    but it sees only what the calling thread does itself.
    """

    __slots__ = ("_seconds", "clock")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._seconds: dict[int, float] = {}

    def expected(self, size: int) -> float:
        """Seconds, a running average; infinity for a size that has not been seen."""
        return self._seconds.get(size.bit_length(), float("inf"))

    def note(self, size: int, seconds: float) -> None:
        """It took so long."""
        key = size.bit_length()
        known = self._seconds.get(key, seconds)
        self._seconds[key] = known + _WEIGHT * (seconds - known)
