"""The search for the highest rate, and the latency-throughput curve, against a running server."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from pipelines.errors import SlipwayError
from pipelines.loadtest.alone import Subject, once
from pipelines.loadtest.live import Glance
from pipelines.loadtest.search import Found, Probe, Search
from pipelines.loadtest.settings import LoadSettings
from pipelines.results import CurvePoint, Scenario

CAPACITY_S = 1.5
CAPACITY_CONCURRENCY = 8
WARMUP_S = 0.3
MAX_RATE_PER_S = 20_000.0
"""A generator of one process is at its limit below that."""
SHARES = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95)
"""Rates of a curve, of the closed loop's."""
SPOILT = ("the load generator", "the hypervisor")


class Hopeless(KeyboardInterrupt):
    """A probe whose backlog can only grow: stopped early, the rest of its time is better spent."""


def find_rate(
    subject: Subject, settings: LoadSettings, target_ms: float, budget_s: float, say: Callable[[str], None]
) -> Found:
    """The highest rate at which p99 is at most ``target_ms``; of ``settings``, seed, batch and timeout count.

    After Ctrl-C, what was found until then, marked as interrupted. Raises SlipwayError when the server answers
    nothing.
    """
    began = time.monotonic()
    capacity = closed_loop_rate(subject, settings)
    say(f"closed loop: {capacity:,.0f} answers/s")

    def probe(rate: float, seconds: float, seed: int) -> Probe:
        found = _probe(subject, settings, rate, seconds, seed, target_ms)
        p99 = f"{found.p99_ms:.1f} ms" if found.p99_ms is not None else "none"
        say(f"{rate:,.1f}/s for {seconds:.1f} s: p99 {p99}" + (f"  ({found.reason})" if found.reason else ""))
        return found

    search = Search(probe, target_ms, capacity, budget_s, MAX_RATE_PER_S, settings.seed)
    try:
        return search.run(spent_s=time.monotonic() - began)
    except KeyboardInterrupt:
        return search.so_far()


def curve(
    subject: Subject, settings: LoadSettings, seconds: float, say: Callable[[str], None]
) -> tuple[CurvePoint, ...]:
    """Latency at shares of the closed loop's rate, each for ``seconds``."""
    capacity = closed_loop_rate(subject, settings)
    points = []
    for share in SHARES:
        found = _probe(subject, settings, capacity * share, seconds, settings.seed, None)
        say(f"{found.rate_per_s:,.1f}/s: p50 {_ms(found.p50_ms)}, p99 {_ms(found.p99_ms)}")
        points.append(CurvePoint(found.rate_per_s, found.answered_per_s, found.p50_ms, found.p99_ms))
    return tuple(points)


def _ms(value: float | None) -> str:
    return "not claimable" if value is None else f"{value:.3g} ms"


def closed_loop_rate(subject: Subject, settings: LoadSettings) -> float:
    """Answers per second with CAPACITY_CONCURRENCY requests outstanding. Raises SlipwayError when there are none."""
    chosen = replace(
        settings,
        scenario="offline",
        concurrency=max(CAPACITY_CONCURRENCY, subject.many),
        duration_s=CAPACITY_S,
        warmup_s=WARMUP_S,
        requests=None,
        min_duration_s=0.0,
        min_requests=0,
    )
    found = _uninterrupted(once(subject, chosen)[0])
    if not found.rate_per_s:
        raise SlipwayError(f"the server answers nothing: {found.invalid_because}")
    return found.rate_per_s


def _probe(
    subject: Subject, settings: LoadSettings, rate: float, seconds: float, seed: int, target_ms: float | None
) -> Probe:
    chosen = replace(
        settings,
        scenario="server",
        arrivals="poisson",
        rate_per_s=rate,
        duration_s=seconds,
        warmup_s=0.0,
        seed=seed,
        requests=None,
        min_duration_s=0.0,
        min_requests=0,
    )
    hopeless = False

    def watch(_: float, glance: Glance | None) -> None:
        nonlocal hopeless
        # Little's law: with so many in flight, the next one waits for far longer than the target.
        if target_ms and glance is not None and glance.in_flight > 50 + 20 * rate * target_ms / 1e3:
            hopeless = True
            raise Hopeless

    why = "stopped early: the backlog only grew"
    try:
        found, _ = once(subject, chosen, watch)
    except Hopeless:  # the generator did not stop in time, and has left nothing
        return Probe(rate, rate, None, None, why)
    if hopeless:
        return Probe(rate, found.rate_per_s, found.p50_ms, None, why)
    _uninterrupted(found)
    spoilt = bool(found.invalid_because and found.invalid_because.startswith(SPOILT))
    return Probe(rate, found.rate_per_s, found.p50_ms, found.p99_ms, found.invalid_because, spoilt)


def _uninterrupted(found: Scenario) -> Scenario:
    if found.partial:
        raise KeyboardInterrupt
    return found
