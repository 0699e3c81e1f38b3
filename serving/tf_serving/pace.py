"""How long something takes that is done again and again, by the size of what it is done to."""

from __future__ import annotations

_FORGETS = 0.1
"""The weight of a value that is below what was expected; one above it counts at once."""


class Pace:
    """Seconds by size, in powers of two. Used by several threads: a value that gets lost does no harm."""

    __slots__ = ("_seconds",)

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def expected(self, size: int) -> float:
        """Seconds, on the safe side; infinity for a size that has not been seen."""
        return self._seconds.get(size.bit_length(), float("inf"))

    def note(self, size: int, seconds: float) -> None:
        """It took so long."""
        key = size.bit_length()
        known = self._seconds.get(key, 0.0)
        self._seconds[key] = seconds if seconds >= known else known + _FORGETS * (seconds - known)
