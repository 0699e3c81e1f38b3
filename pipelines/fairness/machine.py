"""What the machine did besides measuring: other processes' CPU time, and how long the same work took now and then."""

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
"""Hashing it takes 0.15 ms to 1 ms, and touches nothing beyond the second-level cache of today's processors."""
BEAT_S = 0.1


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU seconds since the start of the machine, over all processors: all time, what processes used, what ours did."""

    all_s: float
    busy_s: float
    own_s: float


def read(root: int | None = None, also: Sequence[psutil.Process] = ()) -> Reading:
    """How much CPU time has been used until now.

    Ours is what the process ``root`` (this one if left out) and all that it started have used, what
    has ended included, and the processes ``also``: those of a container belong to the engine. Interrupts are in
    neither: most are of our own packets.
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
            # What has ended is its parent's from then on (times(2)).
            own += getattr(used, "children_user", 0.0) + getattr(used, "children_system", 0.0)
    return Reading(everything, times.user + getattr(times, "nice", 0.0) + times.system, own)


def foreign_share(before: Reading, after: Reading) -> float | None:
    """The share of all processors' time between two readings that other processes took, 0 to 1; None of no time."""
    span = after.all_s - before.all_s
    if span <= 0:
        return None
    foreign = (after.busy_s - before.busy_s) - (after.own_s - before.own_s)
    return min(1.0, max(0.0, foreign / span))


def load_average() -> float | None:
    """Processes that ran or wanted to, averaged over the last minute; None where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None


def beat(seconds: float = BEAT_S) -> float:
    """Milliseconds of the same small work, the median over ``seconds`` of it."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        begin = time.perf_counter()
        hashlib.sha256(BLOCK).digest()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e3
