"""Computes confidence intervals of percentiles from independent repetitions, and of the ratio of two. Pure.

Requests of one run wait for one another, so an interval that treats them as independent is far too
narrow; runs are independent. The centre is the percentile of all runs' latencies together; the spread is that of
the runs' own percentiles, in logarithms, by Student's t. A short run's percentile is biased and its
spread is skewed, so the nominal level depends on the length: 99 % nominal covers more than 90 % from
2,000 answers a run on, 95 % nominal from 10,000 on (simulated: M/M/1 and M/D/1 queues at
utilisation 0.8, 99th percentile, 5 and 10 runs; ``tests/pipelines/loadtest/statistics/test_intervals.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.loadtest.statistics.percentiles import rank_of

MIN_RUNS = 5
COVERAGE = 0.90
"""The coverage of the intervals, simulated."""
NOMINAL = ((10_000, 0.95), (2_000, 0.99))
"""(answers in the shortest run, nominal level of t)."""


@dataclass(frozen=True, slots=True)
class Interval:
    """``low`` to ``high`` hold the true value with a probability of ``coverage`` or more; ``value`` is the estimate."""

    value: float
    low: float
    high: float
    coverage: float = COVERAGE


def percentile_interval(runs: Sequence[np.ndarray], per_mille: int) -> Interval | str:
    """Returns the interval of a percentile of latencies (each run sorted, float64, shape [n]), or why there is none."""
    found = _centre_and_spread(runs, per_mille)
    if isinstance(found, str):
        return found
    centre, error, freedom, nominal = found
    half = t_quantile(0.5 + nominal / 2, freedom) * error
    return Interval(math.exp(centre), math.exp(centre - half), math.exp(centre + half))


def median_interval(values: Sequence[float], coverage: float = COVERAGE) -> Interval | str:
    """Returns the interval of the median of independent runs' figures, or why there is none.

    From the r-th smallest to the r-th largest of n values: the median is outside with twice the probability
    that fewer than r of n fair coins show heads; no distribution is assumed. With five values, it spans all of
    them and covers 93.75 %. More than all of them cover is not to be had: the interval then spans them all, and its
    ``coverage`` is the one it has.
    """
    if len(values) < MIN_RUNS:
        return f"an interval needs {MIN_RUNS} runs, had {len(values)}"
    ordered, outside, rank = sorted(values), 0.0, 0
    while True:
        more = outside + 2 * math.comb(len(ordered), rank) / 2 ** len(ordered)
        if 1 - more < coverage and rank > 0:
            break
        outside, rank = more, rank + 1
    middle = float(np.median(ordered))
    return Interval(middle, ordered[rank - 1], ordered[-rank], 1 - outside)


def ratio_interval(runs: Sequence[np.ndarray], base: Sequence[np.ndarray], per_mille: int) -> Interval | str:
    """Returns the interval of a percentile of ``runs`` over that of ``base`` (Welch's t), or why there is none."""
    found, other = _centre_and_spread(runs, per_mille), _centre_and_spread(base, per_mille)
    if isinstance(found, str):
        return found
    if isinstance(other, str):
        return f"the base: {other}"
    variance = found[1] ** 2 + other[1] ** 2
    # Welch and Satterthwaite; for runs without any spread, the smaller of the two.
    parts = found[1] ** 4 / found[2] + other[1] ** 4 / other[2]
    freedom = variance**2 / parts if parts > 0 else min(found[2], other[2])
    half = t_quantile(0.5 + max(found[3], other[3]) / 2, freedom) * math.sqrt(variance)
    centre = found[0] - other[0]
    return Interval(math.exp(centre), math.exp(centre - half), math.exp(centre + half))


def _centre_and_spread(runs: Sequence[np.ndarray], per_mille: int) -> tuple[float, float, float, float] | str:
    """Returns (log of the percentile of all, its standard error, degrees of freedom, nominal level), or why not."""
    if len(runs) < MIN_RUNS:
        return f"an interval needs {MIN_RUNS} runs, had {len(runs)}"
    fewest = min(len(run) for run in runs)
    nominal = next((level for count, level in NOMINAL if fewest >= count), None)
    if nominal is None:
        return f"an interval needs {NOMINAL[-1][0]:,} answers in each run, had {fewest:,}: test longer"
    own = [float(run[rank_of(per_mille, len(run))]) for run in runs]
    if min(own) <= 0:
        return "no interval: a latency of zero"
    together = np.concatenate(runs)
    rank = rank_of(per_mille, len(together))
    centre = math.log(float(np.partition(together, rank)[rank]))
    return centre, float(np.log(own).std(ddof=1)) / math.sqrt(len(runs)), len(runs) - 1, nominal


def t_quantile(p: float, freedom: float) -> float:
    """Returns Student's t at probability ``p`` (0.5 to 0.9999), for 2 degrees of freedom or more; to four digits.

    The density is integrated on a grid that is fine near zero and reaches far into the tail.
    """
    x = np.sinh(np.linspace(0, math.asinh(200.0), 40_001))
    log_scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - 0.5 * math.log(freedom * math.pi)
    density = np.exp(log_scale - (freedom + 1) / 2 * np.log1p(x**2 / freedom))
    below = 0.5 + np.concatenate([[0.0], np.cumsum(np.diff(x) * (density[1:] + density[:-1]) / 2)])
    return float(np.interp(p, below, x))
