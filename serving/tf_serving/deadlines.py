"""When the request that the current thread works on has to be done."""

from __future__ import annotations

import threading
import time

_current = threading.local()

_FOREVER_S = 1e6
"""gRPC tells a request without a deadline from others by centuries."""


def begin(seconds: float | None) -> None:
    """The thread turns to a request that has so many seconds left; None for no limit."""
    _current.deadline = None if seconds is None or seconds > _FOREVER_S else time.monotonic() + seconds


def deadline() -> float | None:
    """The moment on the monotonic clock; None for no limit."""
    found: float | None = getattr(_current, "deadline", None)
    return found
