"""Holds the caller's choices for a load test, and the limits that bound every loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from pipelines.base.errors import UserError, unknown

ScenarioName = Literal["single-stream", "multi-stream", "offline", "server"]
Arrivals = Literal["poisson", "uniform", "trace"]

MAX_REQUESTS = 2_000_000
"""Requests of one test, warm-up included. A closed loop ends there; a longer schedule is refused."""
MAX_SECONDS = 3600.0
MAX_CONCURRENCY = 1024
MAX_IN_FLIGHT = 4096
"""Unanswered requests in the server scenario: a request that is due beyond them is not sent, and makes the result
invalid."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """One load test.

    ``warmup_s`` comes before ``duration_s`` and is left out of the result. ``requests`` ends a test after this
    many measured ones, unless its time is over before; a closed loop goes on until ``least`` are measured, for at most
    ``timeout_s`` more. ``arrivals`` spreads the requests of ``server``:
    Poisson or uniform with the mean rate ``rate_per_s``, or as in the file ``trace`` (seconds, one a line).
    ``concurrency`` is the number of requests in flight in ``offline``, and of those in one query of
    ``multi-stream``. A scenario ignores what it does not need. ``batch`` is the number of rows in one request
    body: it turns requests into samples. ``timeout_s`` is for one request, from its sending. Below
    ``min_duration_s`` or ``min_requests`` a result is invalid.

    Raises:
        UserError: a value is out of its range.
    """

    scenario: ScenarioName
    duration_s: float = 10.0
    warmup_s: float = 1.0
    rate_per_s: float | None = None
    batch: int = 1
    concurrency: int = 1
    seed: int = 0
    timeout_s: float = 10.0
    arrivals: Arrivals = "poisson"
    trace: str | None = None
    requests: int | None = None
    least: int = 0
    min_duration_s: float = 0.0
    min_requests: int = 0

    def __post_init__(self) -> None:
        if self.scenario not in get_args(ScenarioName):
            raise unknown("scenario", self.scenario, get_args(ScenarioName))
        _within("the duration", self.duration_s, 0.01, MAX_SECONDS)
        _within("the warm-up", self.warmup_s, 0.0, MAX_SECONDS)
        _within("the timeout", self.timeout_s, 0.001, MAX_SECONDS)
        _within("the batch", self.batch, 1, 1_000_000)
        _within("the concurrency", self.concurrency, 1, MAX_CONCURRENCY)
        _within("the seed", self.seed, 0, 2**63 - 1)
        _within("the least duration", self.min_duration_s, 0.0, MAX_SECONDS)
        _within("the least number of requests", self.min_requests, 0, MAX_REQUESTS)
        _within("the least number of measured requests", self.least, 0, MAX_REQUESTS)
        if self.requests is not None:
            _within("the number of requests", self.requests, 1, MAX_REQUESTS)
        if self.arrivals not in get_args(Arrivals):
            raise unknown("arrivals", self.arrivals, get_args(Arrivals))
        if self.scenario == "server" and self.arrivals == "trace":
            if self.trace is None:
                raise UserError("a trace needs its file. Received: none. Name one with seconds, one a line.")
        elif self.scenario == "server":
            if self.rate_per_s is None:
                raise UserError("the server scenario has no rate. Received: none. Give the requests per second.")
            # The Poisson count stays below its mean by a wide margin of its standard deviation.
            most = 0.9 * MAX_REQUESTS / (self.warmup_s + self.duration_s)
            _within("the rate", self.rate_per_s, 0.001, MAX_REQUESTS if self.requests else most)

    @property
    def patient_s(self) -> float:
        """The seconds that a closed loop may take for the ``least`` measured requests."""
        return self.duration_s + self.timeout_s

    @property
    def outstanding(self) -> int:
        """The number of requests that a closed loop keeps in flight."""
        return self.concurrency if self.scenario in ("offline", "multi-stream") else 1


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also refuses NaN
        raise UserError(f"{name} is out of range. Received: {value}. Choose {low:g} to {high:,.12g}.")
