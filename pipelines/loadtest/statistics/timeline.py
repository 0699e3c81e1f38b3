"""Computes latencies over time, and far out in the tail, for plots. Pure."""

from __future__ import annotations

import numpy as np

from pipelines.loadtest.statistics.percentiles import rank_of
from pipelines.results import Moment

MOST_MOMENTS = 60
WIDTHS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


def timeline(
    due_s: np.ndarray, latencies_ms: np.ndarray, answered: np.ndarray, duration_s: float
) -> tuple[Moment, ...]:
    """Divides the measured part into at most MOST_MOMENTS slices by due time (float64 seconds, ascending, shape [n]).

    ``answered`` (bool, [n]) marks the latencies of answers; the others are of errors.
    """
    if not len(due_s) or duration_s <= 0:
        return ()
    width = next((width for width in WIDTHS_S if duration_s / width <= MOST_MOMENTS), WIDTHS_S[-1])
    edges = np.arange(0, max(1, int(np.ceil(duration_s / width - 1e-9))) + 1) * width
    cuts = np.searchsorted(due_s, edges)
    cuts[0], cuts[-1] = 0, len(due_s)
    moments = []
    for at, begin, end in zip(edges[:-1].tolist(), cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        found = np.sort(latencies_ms[begin:end][answered[begin:end]])
        p50, p99, largest = (float(found[rank_of(k, len(found))]) if len(found) else None for k in (500, 990, 1000))
        moments.append(Moment(at, width, end - begin, end - begin - len(found), p50, p99, largest))
    return tuple(moments)


def tail_points(ordered_ms: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Returns (1/(1-p), latency) for 1, 2, 5, 10 ... up to the number of sorted latencies (float64, shape [n]).

    At 1/(1-p) = k, one of k latencies is larger: the axis on which tails are straight lines.
    """
    count = len(ordered_ms)
    points = []
    scale = 1
    while scale <= count:
        for step in (1, 2, 5):
            inverse = step * scale
            if inverse <= count:
                points.append((float(inverse), float(ordered_ms[count - 1 - count // inverse if inverse > 1 else 0])))
        scale *= 10
    if count:
        points.append((float(count + 1), float(ordered_ms[-1])))
    return tuple(points)
