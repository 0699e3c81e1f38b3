"""Keep the deadline of the request that the current thread works on."""

from __future__ import annotations

import threading

_current = threading.local()


def begin(deadline: float | None) -> None:
    """Set the deadline of the thread's current request, as a time on the monotonic clock; None for no limit."""
    _current.deadline = deadline


def deadline() -> float | None:
    """Return the deadline as a time on the monotonic clock; None for no limit."""
    found: float | None = getattr(_current, "deadline", None)
    return found
