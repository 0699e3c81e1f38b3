"""When the request that the current thread works on has to be done."""

from __future__ import annotations

import threading

_current = threading.local()


def begin(deadline: float | None) -> None:
    """The thread turns to a request that has to be done at this moment on the monotonic clock; None for no limit."""
    _current.deadline = deadline


def deadline() -> float | None:
    """The moment on the monotonic clock; None for no limit."""
    found: float | None = getattr(_current, "deadline", None)
    return found
