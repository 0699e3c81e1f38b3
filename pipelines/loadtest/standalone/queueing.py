"""Simulates a queue with one worker, from which schedules are chosen and truths are known. Pure."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from pipelines.loadtest.plan.schedule import NS_PER_S, poisson_arrivals
from pipelines.loadtest.statistics.percentiles import rank_of

CANDIDATES = 48


def sojourn_s(arrivals_s: np.ndarray, service_s: np.ndarray | float) -> np.ndarray:
    """Returns each arrival's time in the queue and in service (ascending, float64, shape [n]), first come first served.

    Lindley's recursion as a running minimum: a wait is the work that came since the queue was empty.
    """
    services = np.broadcast_to(np.asarray(service_s, np.float64), arrivals_s.shape)
    surplus = np.cumsum(services) - services - arrivals_s
    return np.asarray(surplus - np.minimum.accumulate(surplus) + services)


@cache
def queue_p99_s(utilisation: float) -> float:
    """Returns the 99th percentile of the sojourn in a queue with Poisson arrivals and a service of 1 s (M/D/1).

    By the exponential tail of its wait, P(W > x) = (1-r)/(r e^t - 1) e^(-tx) with r (e^t - 1) = t (Asmussen,
    "Applied Probability and Queues", chapter XIII): from utilisation 0.3 on it is within 1 % of the truth.
    """
    if utilisation >= 1:
        return math.inf
    low, high = 1e-9, 60.0
    for _ in range(80):  # r (e^t - 1) - t is negative below the root and positive above
        middle = (low + high) / 2
        low, high = (middle, high) if utilisation * math.expm1(middle) < middle else (low, middle)
    factor = (1 - utilisation) / (utilisation * math.exp(low) - 1)
    return 1.0 + max(0.0, math.log(factor / 0.01) / low)


def utilisation_for(p99_services: float) -> float:
    """Returns the utilisation at which the 99th percentile is ``p99_services`` times the service; 0.05 to 0.98."""
    low, high = 0.05, 0.98
    for _ in range(12):
        middle = round((low + high) / 2, 4)
        low, high = (middle, high) if queue_p99_s(middle) <= p99_services else (low, middle)
    return low


def typical_seed(rate_per_s: float, seconds: float, capacity_per_s: float, seed: int) -> int:
    """Picks, of CANDIDATES seeds from ``seed`` on, the one whose Poisson arrivals load a queue closest to the average.

    By chance, a short schedule may be much burstier than the next one, and its percentiles with it. So the
    schedule of a short probe is chosen, before it is sent and without any answer of the server: the reference
    is a queue with one worker of the server's capacity.
    """
    utilisation = round(rate_per_s / capacity_per_s, 3) if capacity_per_s else 1.0
    if not 0.05 <= utilisation < 1:
        return seed
    wanted = np.log(queue_p99_s(utilisation) / capacity_per_s)

    def miss(candidate: int) -> float:
        arrivals = poisson_arrivals(rate_per_s, seconds, candidate) / NS_PER_S
        if len(arrivals) < 2 or abs(len(arrivals) / seconds / rate_per_s - 1) > 0.05:
            return float("inf")
        times = np.sort(sojourn_s(arrivals, 1 / capacity_per_s))
        return abs(float(np.log(times[rank_of(990, len(times))]) - wanted))

    return min(range(seed, seed + CANDIDATES), key=miss)
