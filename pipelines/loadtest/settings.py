"""What the caller of a load test chooses, and the limits that bound every loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from pipelines.errors import UserError, unknown

ScenarioName = Literal["single-stream", "offline", "server"]

MAX_REQUESTS = 2_000_000
"""Of one test, warm-up included. A closed loop ends there; a schedule that is longer is refused."""
MAX_SECONDS = 3600.0
MAX_CONCURRENCY = 1024
MAX_IN_FLIGHT = 4096
"""Of the server scenario: a request that is due while so many are unanswered is not sent, and the result is invalid."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """One load test.

    ``warmup_s`` comes before ``duration_s`` and is left out of the result. ``rate_per_s`` is the
    mean arrival rate of ``server``; ``concurrency`` the number of outstanding requests of ``offline``;
    each is ignored by the other scenarios. ``batch`` is the number of rows in one request body: it
    turns requests into samples. ``timeout_s`` is for one request, from its sending.

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

    def __post_init__(self) -> None:
        if self.scenario not in get_args(ScenarioName):
            raise unknown("scenario", self.scenario, get_args(ScenarioName))
        _within("duration_s", self.duration_s, 0.01, MAX_SECONDS)
        _within("warmup_s", self.warmup_s, 0.0, MAX_SECONDS)
        _within("timeout_s", self.timeout_s, 0.001, MAX_SECONDS)
        _within("batch", self.batch, 1, 1_000_000)
        _within("concurrency", self.concurrency, 1, MAX_CONCURRENCY)
        _within("seed", self.seed, 0, 2**63 - 1)
        if self.scenario == "server":
            if self.rate_per_s is None:
                raise UserError("the server scenario needs rate_per_s. Received: none. Name the requests per second.")
            # The Poisson count stays below its mean by a wide margin of its standard deviation.
            most = 0.9 * MAX_REQUESTS / (self.warmup_s + self.duration_s)
            _within("rate_per_s", self.rate_per_s, 0.001, most)

    @property
    def outstanding(self) -> int:
        """How many requests a closed loop keeps outstanding."""
        return self.concurrency if self.scenario == "offline" else 1


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also refuses NaN
        raise UserError(f"{name} is out of range. Received: {value}. Choose {low:g} to {high:,.12g}.")
