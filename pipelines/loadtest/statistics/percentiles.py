"""Compute exact percentiles of raw latencies, and the samples needed to claim a percentile."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipelines.results import Percentile, Unclaimable

CONFIDENCE = 0.99
CLAIMS: dict[Percentile, int] = {"p50": 500, "p90": 900, "p99": 990}
"""The percentiles of a result, in thousandths (integers, so that ranks are exact)."""


def rank_of(per_mille: int, count: int) -> int:
    """Return the 0-based rank of a percentile among ``count`` sorted values, by the nearest-rank definition.

    The value there is the smallest one that at least ``per_mille / 1000`` of all values do not exceed: always a
    measured latency, never an interpolation (numpy calls the method ``inverted_cdf``).
    """
    return max(0, -(-per_mille * count // 1000) - 1)


def needed(per_mille: int, confidence: float = CONFIDENCE) -> int:
    """Return the smallest number of independent samples that supports a percentile.

    The samples must enclose the true percentile with ``confidence``: all of n samples are below it
    with probability p^n and all above it with (1-p)^n, so ``p^n + (1-p)^n <= 1 - confidence``. For high
    percentiles the second term vanishes and this is the rule log(1-c)/log(p) for "no miss in n
    queries" (MLPerf Inference, early stopping): 44, 90, 459, 4,603 for p90, p95, p99, p99.9 at 99 %. For the
    median both terms count alike: 8.
    """
    p = per_mille / 1000
    n = math.floor(math.log(1 - confidence) / math.log(max(p, 1 - p)))
    while p**n + (1 - p) ** n > 1 - confidence:
        n += 1
    return n


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Figures of latencies (ms). ``claimed`` maps p50, p90 and p99 to a value, or None if not claimable."""

    claimed: dict[Percentile, float | None]
    unclaimable: tuple[Unclaimable, ...]
    mean: float | None
    largest: float | None
    quantiles: tuple[float, ...]


def percentiles(latencies_ms: np.ndarray) -> Percentiles:
    """Compute the percentiles of latencies (float64, shape [n], any order, n may be 0).

    ``quantiles`` are the values at 0, 1, ... 100 % (empty for n = 0), for plots, even if not claimable.
    """
    ordered = latencies_ms
    if np.any(ordered[1:] < ordered[:-1]):
        ordered = np.sort(ordered)
    count = len(ordered)
    claimed: dict[Percentile, float | None] = {}
    unclaimable = []
    for name, per_mille in CLAIMS.items():
        enough = count >= needed(per_mille)
        claimed[name] = float(ordered[rank_of(per_mille, count)]) if enough else None
        if not enough:
            unclaimable.append(Unclaimable(name, count, needed(per_mille)))
    if not count:
        return Percentiles(claimed, tuple(unclaimable), None, None, ())
    quantiles = ordered[[rank_of(10 * percent, count) for percent in range(101)]]
    return Percentiles(
        claimed, tuple(unclaimable), float(ordered.mean()), float(ordered[-1]), tuple(quantiles.tolist())
    )


def most_in_flight(sent: np.ndarray, done: np.ndarray) -> int:
    """Return the largest number of requests in flight at one moment; times of any unit, shape [n]."""
    if not len(sent):
        return 0
    starts, ends = np.sort(sent), np.sort(done)
    ended_before = np.searchsorted(ends, starts, side="right")
    return int((np.arange(1, len(starts) + 1) - ended_before).max())
