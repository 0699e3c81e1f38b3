"""The generator's place on the machine: one processor and a priority of its own, where the system allows it."""

from __future__ import annotations

import os
from contextlib import suppress

NICE = -10
"""Lower is sooner (setpriority(2)); only a privileged user may go below 0."""


def settle() -> tuple[tuple[int, ...], int | None]:
    """Pins this process to the last processor it may use, if there are two or more, and raises its priority.

    Returns the processors and the niceness that hold from now on, None where the system has none. What
    is not allowed is left as it is, and the result says so: it is in every report.
    """
    with suppress(OSError, AttributeError):  # not privileged, or not a Unix
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    nice = os.getpriority(os.PRIO_PROCESS, 0) if hasattr(os, "getpriority") else None
    if not hasattr(os, "sched_getaffinity"):
        return (), nice
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) > 1:
        with suppress(OSError):  # a sandbox that forbids it
            os.sched_setaffinity(0, cpus[-1:])
    return tuple(sorted(os.sched_getaffinity(0))), nice
