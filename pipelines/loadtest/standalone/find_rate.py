"""Searches for the highest rate at which a running server holds a latency target."""

from __future__ import annotations

import time
from collections.abc import Callable

from pipelines.loadtest.curve import Subject, at_rate, closed_loop_rate, once, uninterrupted
from pipelines.loadtest.generator.live import Glance
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.standalone.search import Search, SearchResult, Trial
from pipelines.results import Cause, Scenario

MAX_RATE_PER_S = 20_000.0
"""A generator of one process is at its limit below that."""


class Hopeless(KeyboardInterrupt):
    """A probe whose backlog can only grow: stopped early, the rest of its time is better spent."""


def find_rate(
    subject: Subject, settings: LoadSettings, target_ms: float, budget_s: float, say: Callable[[str], None]
) -> tuple[SearchResult, list[Scenario]]:
    """Find the highest rate at which p99 is at most ``target_ms``; of ``settings``, seed, batch and timeout count.

    Returns the load tests of the search, too. After Ctrl-C, what was found until then, marked as interrupted. Raises
    SlipwayError when the server answers nothing.
    """
    began = time.monotonic()
    scenarios: list[Scenario] = []
    capacity = closed_loop_rate(subject, settings)
    say(f"closed loop: {capacity:,.0f} answers/s")

    def probe(rate: float, seconds: float, seed: int) -> Trial:
        found = _probe(subject, at_rate(settings, rate, seconds, seed), target_ms, scenarios)
        p99 = f"{found.p99_ms:.1f} ms" if found.p99_ms is not None else "unknown"
        say(f"{rate:,.1f}/s for {seconds:.1f} s: p99 {p99}" + (f"  ({found.reason})" if found.reason else ""))
        return found

    search = Search(probe, target_ms, capacity, budget_s, MAX_RATE_PER_S, settings.seed)
    try:
        return search.run(spent_s=time.monotonic() - began), scenarios
    except KeyboardInterrupt:
        return search.so_far(), scenarios


def _probe(subject: Subject, settings: LoadSettings, target_ms: float, scenarios: list[Scenario]) -> Trial:
    rate, hopeless = settings.rate_per_s or 0.0, False

    def watch(_: float, glance: Glance | None) -> None:
        nonlocal hopeless
        # Little's law: with so many in flight, the next one waits for far longer than the target.
        if glance is not None and glance.in_flight > 50 + 20 * rate * target_ms / 1e3:
            hopeless = True
            raise Hopeless

    why = "stopped early: the backlog only grew"
    try:
        found, _ = once(subject, settings, watch)
    except Hopeless:  # the generator did not stop in time, and has left nothing
        return Trial(rate, rate, None, None, why)
    scenarios.append(found)
    if hopeless:
        return Trial(rate, found.load.rate_per_s, found.latency.p50_ms, None, why)
    uninterrupted(found)
    # The first reason decides: a server that does not answer also keeps the generator busy.
    spoilt = found.invalid_causes[:1] == (Cause.MACHINE,)
    latency = found.latency
    return Trial(rate, found.load.rate_per_s, latency.p50_ms, latency.p99_ms, found.invalid_because, spoilt)
