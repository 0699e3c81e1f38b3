"""Limits of a valid load test and of a sound measurement, without numpy: the report reads them, too."""

from __future__ import annotations

MAX_ERROR_SHARE = 0.01
MAX_SEND_LAG_US = 10_000.0
MAX_SEND_LAG_SHARE = 0.1
"""Send lag is part of the latency: up to this share of the 99th percentile it does not decide the result."""
MAX_CPU_SHARE = 0.9
"""The largest share of one core: a generator that needs more may limit the rate itself."""
MAX_STEAL_SHARE = 0.1
"""The largest share of the processors' time that others may take in a sound moment, or in a sound load test."""


def send_lag_limit_us(p99_ms: float | None) -> float:
    """Return the send lag that a result with this 99th percentile allows, in microseconds."""
    return max(MAX_SEND_LAG_US, MAX_SEND_LAG_SHARE * 1000 * (p99_ms or 0.0))
