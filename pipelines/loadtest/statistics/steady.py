"""Finds when a run has settled: MSER-5 with a margin. Pure.

White, "An effective truncation heuristic for bias reduction in simulation output" (Simulation 69:6, 1997):
cut off the beginning so that the standard error of the mean of the rest, over batches of five, is smallest.
"""

from __future__ import annotations

import numpy as np

BATCH = 5
MARGIN = 0.5
"""This much more than the rule says is left out: it finds the mean's steady state, and tails settle later."""
FEWEST = 10 * BATCH


def mser5(values: np.ndarray) -> int | None:
    """Returns how many of the first values (float64, shape [n]) to leave out; a multiple of five.

    None if there are too few values, or the smallest error is in the second half: the run never settled.
    """
    count = len(values) // BATCH
    if len(values) < FEWEST:
        return None
    means = values[: count * BATCH].reshape(count, BATCH).mean(axis=1)
    backwards = means[::-1]
    left = np.arange(1, count + 1)
    sums, squares = np.cumsum(backwards), np.cumsum(backwards**2)
    error = ((squares - sums**2 / left) / left**2)[::-1]  # error[d]: of the batches from d on
    half = count // 2
    # The last batches are left out of the search: a few equal values have no spread, and mean nothing.
    best = int(np.argmin(error[: count - BATCH]))
    return best * BATCH if best <= half else None


def settled(due_s: np.ndarray, latencies_ms: np.ndarray) -> float | None:
    """Returns when the latencies had settled, with a margin, in seconds of ``due_s`` (both float64, shape [n]).

    None if they had not settled within the first half, or there are too few.
    """
    out = mser5(latencies_ms)
    if out is None:
        return None
    out = int(out * (1 + MARGIN))
    return float(due_s[out] - due_s[0]) if 0 < out < len(due_s) else 0.0
