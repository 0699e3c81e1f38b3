"""Decide whether the result of a load test is valid, and if not, why and by whose fault. Pure rules over counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.loadtest.settings import ScenarioName
from pipelines.loadtest.statistics.limits import (
    MAX_CPU_SHARE,
    MAX_ERROR_SHARE,
    MAX_STEAL_SHARE,
    send_lag_limit_us,
)
from pipelines.loadtest.statistics.percentiles import needed
from pipelines.results import Cause

MIN_ANSWERS = needed(500)
"""With fewer answers, not even the median may be claimed."""
MIN_RATE_SHARE = 0.95
RATE_SLACK = 5
"""Extra requests that may be in flight at the end of any test: so few are chance, not a backlog."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Input of the rules: counts and figures of the measured part, without the warm-up.

    ``ended_in_window`` are requests (including those of the warm-up) that were answered or failed between the start
    and the end of the schedule; ``not_sent`` are requests that were due while ``in_flight_limit`` were
    unanswered. ``send_lag_p99_us`` is None if there is no schedule; ``p99_ms`` is computed from any number of answers.
    ``cpu_share`` is the CPU use of the generator, in cores; None in process. ``planned_s`` is the planned duration of
    an interrupted test, None if it was not interrupted; ``cut_off`` counts its unanswered requests.
    """

    scenario: ScenarioName
    requests: int
    answered: int
    errors: int
    not_sent: int
    in_flight_limit: int
    ended_in_window: int
    p99_ms: float | None
    send_lag_p99_us: float | None
    first_error: str | None
    cpu_share: float | None = None
    steal_share: float | None = None
    duration_s: float = 0.0
    min_duration_s: float = 0.0
    min_requests: int = 0
    planned_s: float | None = None
    cut_off: int = 0


def _too_few(c: Counted) -> str | None:
    if c.answered >= MIN_ANSWERS:
        return None
    return f"too few answers: a median needs {MIN_ANSWERS}, had {c.answered}: test longer"


def _too_many_errors(c: Counted) -> str | None:
    if c.errors <= MAX_ERROR_SHARE * c.requests:
        return None
    example = f", for example: {c.first_error}" if c.first_error else ""
    return f"{c.errors:,} of {c.requests:,} requests failed (limit {MAX_ERROR_SHARE:.0%}){example}"


def _in_flight_limit(c: Counted) -> str | None:
    if not c.not_sent:
        return None
    return (
        f"{c.not_sent:,} requests were not sent: {c.in_flight_limit:,} others were unanswered (limit): "
        "test at a lower rate"
    )


def _sent_late(c: Counted) -> str | None:
    limit = send_lag_limit_us(c.p99_ms)
    if c.send_lag_p99_us is None or c.send_lag_p99_us <= limit:
        return None
    late, most = c.send_lag_p99_us / 1000, limit / 1000
    return f"the load generator sent late: p99 {late:.1f} ms (limit {most:.1f} ms): the machine is too busy"


def _fell_behind(c: Counted) -> str | None:
    short = c.requests - c.ended_in_window
    if c.scenario != "server" or short <= max((1 - MIN_RATE_SHARE) * c.requests, RATE_SLACK):
        return None
    return (
        f"the server did not keep up: {c.ended_in_window:,} requests ended while {c.requests:,} were due "
        f"(limit {MIN_RATE_SHARE:.0%}): test at a lower rate"
    )


def _too_busy(c: Counted) -> str | None:
    if c.cpu_share is None or c.cpu_share <= MAX_CPU_SHARE:
        return None
    return (
        f"the load generator used {c.cpu_share:.0%} of a core (limit {MAX_CPU_SHARE:.0%}): "
        "the server may be faster than that: test at a lower rate or concurrency"
    )


def _stolen(c: Counted) -> str | None:
    if c.steal_share is None or c.steal_share <= MAX_STEAL_SHARE:
        return None
    return f"the hypervisor gave {c.steal_share:.0%} of the processor time to others (limit {MAX_STEAL_SHARE:.0%})"


def _too_short(c: Counted) -> str | None:
    missing = []
    if c.duration_s < c.min_duration_s - 1e-6:
        missing.append(f"{c.min_duration_s:g} s are required, it took {c.duration_s:.3g} s")
    if c.requests < c.min_requests:
        missing.append(f"{c.min_requests:,} requests are required, there were {c.requests:,}")
    return f"too short: {' and '.join(missing)}: test longer" if missing else None


def _interrupted(c: Counted) -> str | None:
    if c.planned_s is None:
        return None
    return f"interrupted after {c.duration_s:.1f} of {c.planned_s:g} s; {c.cut_off:,} unanswered requests are left out"


RULES: tuple[tuple[Cause, Callable[[Counted], str | None]], ...] = (
    (Cause.INTERRUPTED, _interrupted),
    (Cause.TEST, _too_few),
    (Cause.TEST, _too_short),
    (Cause.SERVER, _too_many_errors),
    (Cause.SERVER, _in_flight_limit),
    (Cause.MACHINE, _sent_late),
    (Cause.SERVER, _fell_behind),
    (Cause.MACHINE, _too_busy),
    (Cause.MACHINE, _stolen),
)
"""Rules in the order in which reasons are listed: a later one may be a consequence of an earlier one."""


def broken(counted: Counted) -> list[tuple[Cause, str]]:
    """List every reason why the result is not valid, with its cause; empty if it is valid."""
    if not counted.requests and counted.planned_s is not None:
        return [(Cause.INTERRUPTED, "interrupted before anything was measured")]
    if not counted.requests:
        return [(Cause.TEST, "no request was due within the test: test longer or at a higher rate")]
    if not counted.answered:
        why = counted.first_error or "the reason is unknown"
        return [(Cause.SERVER, f"no request was answered, of {counted.requests:,}: {why}")]
    return [(cause, reason) for cause, rule in RULES if (reason := rule(counted)) is not None]
