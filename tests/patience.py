"""Waiting: for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 240.0
"""Only what hangs takes longer: a slow machine that others use, too, makes a wait ten times as long as it is here."""


def until(condition: Callable[[], object], limit_s: float = PATIENCE_S) -> bool:
    """Poll a condition until it is true; return False if it did not come true in time."""
    deadline, pause_s = time.monotonic() + limit_s, 0.01
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
        pause_s = min(1.5 * pause_s, 1.0)  # some conditions are processes, which would slow down what is waited for
    return True


def wait_for(condition: Callable[[], object]) -> None:
    """Poll a condition until it is true; fail if it does not come true in time."""
    assert until(condition), "the condition did not come true in time"
