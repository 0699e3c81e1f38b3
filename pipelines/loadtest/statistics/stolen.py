"""Cuts the moments in which the hypervisor took processors out of the latency figures. Pure.

A stolen moment delays whatever happens to be under way: the server, the generator, or both. Its requests say nothing
of the server, and CPU time a request is hardly touched by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.loadtest.statistics.limits import MAX_STEAL_SHARE

MIN_LEFT = 0.7
"""At least this share of the measured time must be left; with less, nothing is cut and the result is disturbed."""

Tick = tuple[int, int, int]
"""A reading of the processors: when (time.monotonic_ns), all ticks and stolen ticks since the machine's start."""


@dataclass(frozen=True, slots=True)
class Stolen:
    """The disturbed moments of one measurement.

    ``share`` of the processors' time was stolen in all, ``share_left`` in what is left after the cuts (0 to 1; None
    without readings). ``cut_ns`` has shape [k, 2]: begin and end of each cut. ``cut_share`` is how much of the measured
    time they are, 0 to 1; cuts are empty where less than MIN_LEFT would be left.
    """

    share: float | None
    share_left: float | None
    cut_ns: np.ndarray
    cut_share: float

    def touches(self, begin_ns: np.ndarray, end_ns: np.ndarray) -> np.ndarray:
        """Tell for each request if it was under way in a cut; int64 in of shape [n], bool out of shape [n]."""
        hit = np.zeros(len(begin_ns), bool)
        for start, stop in self.cut_ns:
            hit |= (begin_ns < stop) & (end_ns > start)
        return hit


NOTHING_STOLEN = Stolen(None, None, np.empty((0, 2), np.int64), 0.0)


def stolen(ticks: Sequence[Tick], start_ns: int, stop_ns: int) -> Stolen:
    """Finds the disturbed moments among readings, between two moments of their clock.

    A moment lies between two readings; each is judged by itself.
    """
    if len(ticks) < 2 or stop_ns <= start_ns:
        return NOTHING_STOLEN
    at_ns, every, taken = (np.array(column, np.int64) for column in zip(*ticks, strict=True))
    begin, end = np.maximum(at_ns[:-1], start_ns), np.minimum(at_ns[1:], stop_ns)
    inside = end > begin
    spans, gone = np.diff(every)[inside], np.diff(taken)[inside]
    begin, end = begin[inside], end[inside]
    if not spans.sum():
        return NOTHING_STOLEN
    disturbed = gone > MAX_STEAL_SHARE * spans
    share = float(gone.sum() / spans.sum())
    cut = float((end - begin)[disturbed].sum() / (stop_ns - start_ns))
    if not disturbed.any() or cut > 1 - MIN_LEFT:
        return Stolen(share, share, NOTHING_STOLEN.cut_ns, 0.0)
    left = float(gone[~disturbed].sum() / spans[~disturbed].sum())
    return Stolen(share, left, np.stack([begin[disturbed], end[disturbed]], axis=1), cut)
