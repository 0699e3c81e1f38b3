"""Computes when requests are due: pure, and the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.loadtest.settings import MAX_REQUESTS, LoadSettings

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times at which requests are due, ns from the beginning: ``offsets_ns`` int64, ascending, shape [n].

    Those before ``first`` are warm-up; the measured time ends at ``end_ns``.
    """

    offsets_ns: np.ndarray
    first: int
    end_ns: int


def nothing_due() -> Schedule:
    """Returns the schedule of a closed loop."""
    return Schedule(np.empty(0, np.int64), 0, 0)


def schedule_of(settings: LoadSettings, trace_ns: np.ndarray | None = None) -> Schedule:
    """Returns the schedule of the server scenario; ``trace_ns`` are the offsets of a trace, ascending.

    The number of requests is bounded, whatever chance does. A test that ends after a number of requests
    ends with the last of them.
    """
    seconds = settings.warmup_s + settings.duration_s
    if settings.requests is not None and settings.arrivals != "trace":
        # Long enough for the number, even if Poisson arrivals come slowly (eight standard deviations).
        wanted = settings.requests + 8 * settings.requests**0.5 + 8
        seconds = min(seconds, settings.warmup_s + wanted / (settings.rate_per_s or 1.0))
    end_ns = int(seconds * NS_PER_S)
    if trace_ns is not None:
        offsets = trace_ns[trace_ns < end_ns]
    elif settings.arrivals == "uniform":
        offsets = uniform_arrivals(settings.rate_per_s or 0.0, seconds)
    else:
        offsets = poisson_arrivals(settings.rate_per_s or 0.0, seconds, settings.seed)
    first = int(np.searchsorted(offsets, int(settings.warmup_s * NS_PER_S)))
    if settings.requests is not None and len(offsets) > first + settings.requests:
        offsets = offsets[: first + settings.requests]
        end_ns = int(offsets[-1]) + 1
    return Schedule(offsets[:MAX_REQUESTS], first, end_ns)


def uniform_arrivals(rate_per_s: float, seconds: float) -> np.ndarray:
    """Returns arrivals at equal distances, the first at 0; int64 nanoseconds, all before the end."""
    offsets = (np.arange(int(np.ceil(rate_per_s * seconds)) + 1) * (NS_PER_S / rate_per_s)).astype(np.int64)
    return offsets[offsets < int(seconds * NS_PER_S)]


def poisson_arrivals(rate_per_s: float, seconds: float, seed: int) -> np.ndarray:
    """Draws the arrivals of a Poisson process within ``seconds``: int64 nanoseconds from its start, ascending.

    Gaps are independent and exponential with mean ``1 / rate_per_s``. A longer schedule of the same
    rate and seed begins with the shorter one. Two arrivals may share a nanosecond; all are before the end,
    and there may be none.
    """
    generator = np.random.default_rng(seed)
    mean = rate_per_s * seconds
    block = int(mean + 6.0 * np.sqrt(mean)) + 16  # nearly always enough for all
    gaps = generator.exponential(1.0 / rate_per_s, block)
    while gaps.sum() < seconds:  # almost surely never entered: each block spans `seconds` or more on average
        gaps = np.concatenate([gaps, generator.exponential(1.0 / rate_per_s, block)])
    arrivals = np.cumsum(gaps)
    nanoseconds = (arrivals * NS_PER_S).astype(np.int64)
    return nanoseconds[nanoseconds < int(seconds * NS_PER_S)]
