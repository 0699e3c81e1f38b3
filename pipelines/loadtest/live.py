"""A test under way, seen from outside: the generator's arrays lie in memory that its caller may read.

Looking costs the generator nothing: it writes what it would write anyway.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.loadtest.recording import Arrays, Outcome, bytes_needed, new_arrays
from pipelines.loadtest.statistics import rank_of

VIEW = "view"
"""The name of the view in the folder of a test: a link to memory, or a file where there is no such memory."""
RECENT_S = 1.0


@dataclass(frozen=True, slots=True)
class Glance:
    """A test at one moment: counts of its measured part, and the last second's rate and percentiles.

    Percentiles are for looking at: of however few answers there were, None of none.
    """

    sent: int
    answered: int
    errors: int
    in_flight: int
    rate_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None


@dataclass(frozen=True, slots=True)
class Look:
    """What one generator shows at a moment: counts of its measured part, and what was answered in the last ``span_ns``.

    ``latencies_ns`` has shape [n], in no order: of several generators they are put together, for no average of
    percentiles is a percentile.
    """

    sent: int
    answered: int
    errors: int
    in_flight: int
    span_ns: float
    latencies_ns: np.ndarray


def together(looks: Iterable[Look | None]) -> Glance | None:
    """How a test stands whose generators look like that; None before the measured part of them all. Pure."""
    seen = [look for look in looks if look is not None]
    if not seen:
        return None
    latency = np.sort(np.concatenate([look.latencies_ns for look in seen])) / 1e6
    p50, p99 = (float(latency[rank_of(k, len(latency))]) if len(latency) else None for k in (500, 990))
    return Glance(
        sent=sum(look.sent for look in seen),
        answered=sum(look.answered for look in seen),
        errors=sum(look.errors for look in seen),
        in_flight=sum(look.in_flight for look in seen),
        rate_per_s=sum(len(look.latencies_ns) / look.span_ns * 1e9 for look in seen),
        p50_ms=p50,
        p99_ms=p99,
        max_ms=float(latency[-1]) if len(latency) else None,
    )


class View:
    """Memory that a generator writes and its caller reads."""

    def __init__(self, folder: Path, capacity: int) -> None:
        """Makes the memory, empty; :func:`open_view` finds it by the folder."""
        size = bytes_needed(capacity)
        if hasattr(os, "memfd_create"):
            # Memory without a file behind it: a disk's journal never makes the generator wait.
            self._fd = os.memfd_create("slipway-loadtest")
            (folder / VIEW).symlink_to(f"/proc/{os.getpid()}/fd/{self._fd}")
        else:
            self._fd = os.open(folder / VIEW, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.ftruncate(self._fd, size)
        self._arrays = new_arrays(capacity, mmap.mmap(self._fd, size))

    def close(self) -> None:
        del self._arrays  # unmaps it
        os.close(self._fd)

    def glance(self) -> Glance | None:
        """How the test stands; None before its measured part."""
        return together([self.look()])

    def look(self) -> Look | None:
        """What is to be seen of this generator; None before its measured part."""
        arrays, first = self._arrays, int(self._arrays.facts[0]) - 1
        if first < 0:
            return None
        now_ns = time.monotonic_ns()
        count = sent_count(arrays)
        outcome = arrays.outcome[first:count]
        ended = np.bincount(outcome, minlength=len(Outcome))
        answered, pending = int(ended[Outcome.ANSWERED]), int(ended[Outcome.PENDING])
        done = arrays.done[first:count]
        span_ns = min(RECENT_S * 1e9, max(1, now_ns - int(arrays.facts[1])))
        recent = (outcome == Outcome.ANSWERED) & (done > now_ns - span_ns)
        latencies = done[recent] - arrays.intended[first:count][recent]
        return Look(len(outcome), answered, len(outcome) - answered - pending, pending, span_ns, latencies)


def sent_count(arrays: Arrays) -> int:
    """How many requests were begun: ``sent`` is filled in order, and zero beyond."""
    low, high = 0, len(arrays.sent)
    while low < high:
        middle = (low + high) // 2
        if arrays.sent[middle]:
            low = middle + 1
        else:
            high = middle
    return low


def open_view(folder: Path, capacity: int) -> Arrays | None:
    """The arrays of the view in a test's folder; None if there is none."""
    place = folder / VIEW
    if not place.exists():
        return None
    with place.open("r+b") as file:
        return new_arrays(capacity, mmap.mmap(file.fileno(), bytes_needed(capacity)))
