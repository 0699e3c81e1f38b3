"""When requests are due: pure, and the same for the same seed."""

from __future__ import annotations

import numpy as np

NS_PER_S = 1_000_000_000


def poisson_arrivals(rate_per_s: float, seconds: float, seed: int) -> np.ndarray:
    """The arrival times of a Poisson process within ``seconds``, as int64 nanoseconds from its start, ascending.

    Gaps are independent and exponential with mean ``1 / rate_per_s``. A longer schedule of the same
    rate and seed begins with the shorter one. Two arrivals may share a nanosecond; none is at or
    after the end, and there may be none at all.
    """
    generator = np.random.default_rng(seed)
    mean = rate_per_s * seconds
    block = int(mean + 6.0 * np.sqrt(mean)) + 16  # nearly always enough at once
    gaps = generator.exponential(1.0 / rate_per_s, block)
    while gaps.sum() < seconds:  # each turn adds `mean` seconds' worth or more: ends almost surely at the first
        gaps = np.concatenate([gaps, generator.exponential(1.0 / rate_per_s, block)])
    arrivals = np.cumsum(gaps)
    nanoseconds = (arrivals * NS_PER_S).astype(np.int64)
    return nanoseconds[nanoseconds < int(seconds * NS_PER_S)]
