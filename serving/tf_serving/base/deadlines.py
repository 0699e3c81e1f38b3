"""Keep what the request of the current thread may still cost: its deadline, its client's patience, its bytes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from serving.limits import Share
from serving.tf_serving.base.errors import ServingError

_current = threading.local()


def _never() -> bool:
    return False


def begin(deadline: float | None, is_gone: Callable[[], bool] = _never, share: Share | None = None) -> None:
    """Set the thread's current request.

    Args:
        deadline: a time on the monotonic clock; None for no limit.
        is_gone: returns True once nobody waits for the answer.
        share: counts the request's bytes; None to count none.
    """
    _current.deadline, _current.is_gone, _current.share = deadline, is_gone, share


def deadline() -> float | None:
    """Return the deadline as a time on the monotonic clock; None for no limit."""
    found: float | None = getattr(_current, "deadline", None)
    return found


def leaving() -> Callable[[], bool]:
    """Return the function that tells whether the client is gone; another thread may call it."""
    found: Callable[[], bool] = getattr(_current, "is_gone", _never)
    return found


def check() -> None:
    """Check that the answer is still wanted. Raises ServingError: CANCELLED or DEADLINE_EXCEEDED, it is not."""
    if leaving()():
        raise ServingError("CANCELLED", "the client is gone")
    limit = deadline()
    if limit is not None and time.monotonic() > limit:
        raise ServingError("DEADLINE_EXCEEDED", "Timed out waiting for notification")


def hold(size: int) -> None:
    """Count bytes that the request needs besides its body. Raises ServingError: RESOURCE_EXHAUSTED, no room."""
    share: Share | None = getattr(_current, "share", None)
    if share is not None and not share.add(size):
        raise ServingError("RESOURCE_EXHAUSTED", share.held.refusal)
