"""Measures the machine's other work: other processes' CPU time, and how long a fixed piece of work takes."""

from __future__ import annotations

import hashlib
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

from pipelines.fairness.processes import GONE, tree

BLOCK = bytes(256 * 1024)
"""Hashing it takes 0.15 ms to 1 ms, and stays within the second-level cache of today's processors."""
BEAT_S = 0.1


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU seconds since the start of the machine, over all processors: all time, time of processes, time of ours."""

    all_s: float
    busy_s: float
    own_s: float


def read(root: int | None = None, also: Sequence[psutil.Process] = ()) -> Reading:
    """Read the CPU time used until now.

    Ours is the time of the process ``root`` (default: this one) and of all that it started, including what has
    ended, and of the processes ``also``, because those of a container belong to the engine. Interrupts count as
    neither: our own packets cause most of them.
    """
    times = psutil.cpu_times()
    everything = sum(
        getattr(times, name, 0.0) for name in ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    )
    ours = tree(os.getpid() if root is None else root)
    known = {process.pid for process in ours}
    own = 0.0
    for process in [*ours, *(one for one in also if one.pid not in known)]:
        with suppress(*GONE):
            used = process.cpu_times()
            own += used.user + used.system
            # The time of a process that has ended counts as its parent's (times(2)).
            own += getattr(used, "children_user", 0.0) + getattr(used, "children_system", 0.0)
    return Reading(everything, times.user + getattr(times, "nice", 0.0) + times.system, own)


def foreign_share(before: Reading, after: Reading) -> float | None:
    """Return the share of all processors' time that other processes used, 0 to 1; None if no time has passed."""
    span = after.all_s - before.all_s
    if span <= 0:
        return None
    foreign = (after.busy_s - before.busy_s) - (after.own_s - before.own_s)
    return min(1.0, max(0.0, foreign / span))


def load_average() -> float | None:
    """Return the processes that ran or wanted to, averaged over the last minute; None if the system has no figure."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None


def beat(seconds: float = BEAT_S) -> float:
    """Repeat the same small work for ``seconds``; return the median time of one piece in milliseconds."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        begin = time.perf_counter()
        hashlib.sha256(BLOCK).digest()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e3
