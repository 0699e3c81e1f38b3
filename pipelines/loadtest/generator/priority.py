"""The generator's place on the machine: one processor and a priority of its own, where the system allows it.

Measured on two cores, one of them busy: the 99th percentile of the send lag is 16 to 40 ms at normal
priority, and 0.03 to 0.06 ms as a real-time process on one processor. Pinned without a priority it is worse than
free: whoever holds that processor is waited for.
"""

from __future__ import annotations

import os
from contextlib import suppress

REAL_TIME = 1
"""The lowest real-time priority (sched(7)): before all normal processes, behind everything else."""
NICE = -10
"""Lower is sooner (setpriority(2)); only a privileged user may go below 0."""


def settle(place: int = -1) -> tuple[tuple[int, ...], str | None]:
    """Makes this process real-time on the last processor it may use; where that is not allowed, raises its niceness.

    ``place`` is another processor than the last, counted as in a list.

    Returns the processors and the priority that hold from now on, for example ``fifo 1`` or ``nice 0``; None
    where the system has none. What is not allowed is left as it is; every result says what holds.
    """
    if hasattr(os, "sched_setscheduler"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REAL_TIME))
            cpus = sorted(os.sched_getaffinity(0))
            own = cpus[place]
            os.sched_setaffinity(0, [own])
            return (own,), f"fifo {REAL_TIME}"
    with suppress(OSError, AttributeError):  # not privileged, or not a Unix
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    priority = f"nice {os.getpriority(os.PRIO_PROCESS, 0)}" if hasattr(os, "getpriority") else None
    return tuple(cpus), priority
