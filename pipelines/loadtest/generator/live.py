"""Shows a running test from outside: the generator's arrays lie in memory that its caller may read.

Looking costs the generator nothing: it writes what it would write anyway.
"""

from __future__ import annotations

import mmap
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.loadtest.recording import Arrays, Outcome, bytes_needed, new_arrays
from pipelines.loadtest.statistics.percentiles import rank_of

VIEW = "view"
"""The name of the view in the folder of a test: a link to memory, or a file where there is no such memory."""
RECENT_S = 1.0


@dataclass(frozen=True, slots=True)
class Glance:
    """A test at one moment: counts of its measured part, and the last second's rate and percentiles.

    Percentiles here are for display only: computed from any number of answers, None if there are none.
    """

    sent: int
    answered: int
    errors: int
    in_flight: int
    rate_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class View:
    """Memory that a generator writes and its caller reads."""

    def __init__(self, folder: Path, capacity: int) -> None:
        """Makes the memory, empty; :func:`open_view` finds it through the folder."""
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
        """Returns the state of the test; None before its measured part."""
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
        latency_ms = np.sort(done[recent] - arrays.intended[first:count][recent]) / 1e6
        p50, p99, largest = (
            float(latency_ms[rank_of(k, len(latency_ms))]) if len(latency_ms) else None for k in (500, 990, 1000)
        )
        rate = len(latency_ms) / span_ns * 1e9
        return Glance(len(outcome), answered, len(outcome) - answered - pending, pending, rate, p50, p99, largest)


def sent_count(arrays: Arrays) -> int:
    """Returns how many requests were begun: ``sent`` is filled in order, and zero beyond."""
    low, high = 0, len(arrays.sent)
    while low < high:
        middle = (low + high) // 2
        if arrays.sent[middle]:
            low = middle + 1
        else:
            high = middle
    return low


def open_view(folder: Path, capacity: int) -> Arrays | None:
    """Opens the arrays of the view in a test's folder; None if there is none."""
    place = folder / VIEW
    if not place.exists():
        return None
    with place.open("r+b") as file:
        return new_arrays(capacity, mmap.mmap(file.fileno(), bytes_needed(capacity)))
