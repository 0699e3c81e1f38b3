"""``slipway calibrate``: measures the load tester against a server whose latencies are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.base.errors import SlipwayError
from pipelines.base.files import scratch
from pipelines.loadtest.measure import measure
from pipelines.loadtest.recording import RECORDING, load_recording
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.statistics.percentiles import percentiles
from pipelines.loadtest.truth.behaviour import true_latencies_ms
from pipelines.loadtest.truth.clock import read_lateness
from pipelines.loadtest.truth.start import Truth, ground_truth
from pipelines.results import Scenario
from serving.clients.transport import send

KINDS = ("http", "grpc")
RATE_PER_S = 200.0
SECONDS = 6.0
DELAY_MS = 5
ATTEMPTS = 3
MAX_SERVER_LATE_MS = 8.0
"""If the server itself is later than this, something else had the processors, and the truth does not hold. (A
stall's backlog itself leaves within 4 ms.)"""
FAULT = "/every/20/error"
BODIES = [bytes([65 + number]) * 3_000 for number in range(8)]
MAX_ERROR = 0.02
"""The way there and back is measured, but is part of no truth: 20 to 50 us of 5 ms. The lateness of the server's
answers, by its own clock, is part of the truth of the mean."""
MAX_LAG_P50_US, MAX_LAG_P99_US = 100.0, 1_000.0


@dataclass(frozen=True, slots=True)
class Check:
    """One figure beside its truth. ``limit`` is the largest difference, or, without a truth, the largest value."""

    transport: str
    name: str
    measured: float
    truth: float | None
    limit: float

    @property
    def passed(self) -> bool:
        return abs(self.measured - (self.truth or 0.0)) <= self.limit


def calibrate(seconds: float = SECONDS, say: Callable[[str], None] = lambda _: None) -> list[Check]:
    """Runs all checks, over HTTP and gRPC; ``say`` gets the progress. Raises SlipwayError if no server starts."""
    checks: list[Check] = []
    for kind in KINDS:
        with ground_truth(kind) as truth:
            say(f"{kind}: a stall of 500 ms at {RATE_PER_S:g} requests/s for {seconds:g} s")
            checks += _stall(truth, kind, seconds)
            say(f"{kind}: each 20th request refused")
            checks += _faults(truth, kind)
    return checks


def _stall(truth: Truth, kind: str, seconds: float) -> list[Check]:
    """Runs the checks until the server itself is on time; returns the last ones if it never is."""
    for attempt in range(ATTEMPTS):
        send(truth.call("/late"), b"")
        checks = list(_stalled(truth, kind, seconds, attempt))
        if checks[-1].passed:
            break
    return checks


def _stalled(truth: Truth, kind: str, seconds: float, attempt: int) -> Iterator[Check]:
    path = f"/stall/{2000 + attempt}/500/{DELAY_MS}"  # another stall for each attempt
    with scratch("selftest") as folder:
        settings = LoadSettings("server", seconds, 0.0, rate_per_s=RATE_PER_S, seed=1)
        found = measure(truth.call(path), BODIES, _right, settings, folder)
        if not (folder / RECORDING).exists():
            raise SlipwayError(f"the calibration could not be done: {found.invalid_because}")
        # The first request begins the stall when it arrives, so the truth's clock starts there, too.
        arrivals = load_recording(folder).intended.copy()
        arrivals[0] = load_recording(folder).sent[0]
    want = percentiles(true_latencies_ms(np.sort(arrivals), path))
    late = read_lateness(send(truth.call("/late"), b""))
    for name, measured, right in (
        ("p50_ms", found.latency.quantiles_ms[50], want.quantiles[50]),
        ("p99_ms", found.latency.quantiles_ms[99], want.quantiles[99]),
        ("max_ms", found.latency.max_ms or 0.0, want.largest or 0.0),
        ("mean_ms", found.latency.mean_ms or 0.0, (want.mean or 0.0) + late.mean_ms),
    ):
        yield Check(kind, name, measured, right, MAX_ERROR * right)
    yield Check(kind, "send_lag_p50_us", found.generator.send_lag_p50_us or 0.0, None, MAX_LAG_P50_US)
    yield Check(kind, "send_lag_p99_us", found.generator.send_lag_p99_us or 0.0, None, MAX_LAG_P99_US)
    yield Check(kind, "failed_requests", float(found.load.errors), 0.0, 0.0)
    yield Check(kind, "wrong_answers", _wrong(found), 0.0, 0.0)
    yield Check(kind, "server_late_ms", late.max_ms, None, MAX_SERVER_LATE_MS)


def _faults(truth: Truth, kind: str) -> Iterator[Check]:
    with scratch("selftest") as folder:
        settings = LoadSettings("server", 1.0, 0.0, rate_per_s=RATE_PER_S, seed=2)
        found = measure(truth.call(FAULT), BODIES, _right, settings, folder)
    yield Check(kind, "refused_requests", float(found.load.errors), float(found.load.requests // 20), 0.0)


def _right(index: int, answer: bytes) -> bool:
    return answer == BODIES[index]


def _wrong(found: Scenario) -> float:
    return (
        found.answers_checked * (1 - (found.match_share or 0.0))
        if found.answers_checked
        else float(found.load.requests)
    )
