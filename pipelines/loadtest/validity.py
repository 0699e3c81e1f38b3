"""Why the result of a load test is not valid: pure rules over what was counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.loadtest.settings import ScenarioName
from pipelines.loadtest.statistics import needed

MIN_ANSWERS = needed(500)
"""Below it not even the median may be claimed."""
MAX_ERROR_SHARE = 0.01
MAX_SEND_LAG_US = 10_000.0
MAX_SEND_LAG_SHARE = 0.1
"""Send lag is part of the latency: up to this share of the largest latency it does not decide the result."""
MIN_RATE_SHARE = 0.95
RATE_SLACK = 5
"""Requests that may be in flight at the end more than at the start, in any test: chance, not a backlog."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the rules look at; all of the measured part, warm-up excluded.

    ``ended_in_window`` are requests (also of the warm-up) that were answered or failed between the start
    and the end of the schedule; ``not_sent`` are requests that were due while ``in_flight_limit`` were
    unanswered. ``send_lag_p99_us`` is None where there is no schedule.
    """

    scenario: ScenarioName
    requests: int
    answered: int
    errors: int
    not_sent: int
    in_flight_limit: int
    ended_in_window: int
    max_ms: float | None
    send_lag_p99_us: float | None
    first_error: str | None


def _too_few(c: Counted) -> str | None:
    if c.answered >= MIN_ANSWERS:
        return None
    return f"too few answers: {c.answered} of the {MIN_ANSWERS} that a median needs: test for longer"


def _too_many_errors(c: Counted) -> str | None:
    if c.errors <= MAX_ERROR_SHARE * c.requests:
        return None
    example = f", for example: {c.first_error}" if c.first_error else ""
    return f"{c.errors:,} of {c.requests:,} requests failed (limit {MAX_ERROR_SHARE:.0%}){example}"


def _in_flight_limit(c: Counted) -> str | None:
    if not c.not_sent:
        return None
    return f"{c.not_sent:,} requests were not sent: {c.in_flight_limit:,} were already unanswered"


def _sent_late(c: Counted) -> str | None:
    limit = max(MAX_SEND_LAG_US, MAX_SEND_LAG_SHARE * 1000 * (c.max_ms or 0.0))
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
        f"(limit {MIN_RATE_SHARE:.0%}): offer less"
    )


RULES: tuple[Callable[[Counted], str | None], ...] = (
    _too_few,
    _too_many_errors,
    _in_flight_limit,
    _sent_late,
    _fell_behind,
)


def invalid_because(counted: Counted) -> str | None:
    """Every reason why the result is not valid, in one line; None if it is."""
    if not counted.requests:
        return "no request was due within the test: test for longer or at a higher rate"
    if not counted.answered:
        return f"no request was answered, of {counted.requests:,}: {counted.first_error or 'no reason known'}"
    reasons = [reason for rule in RULES if (reason := rule(counted)) is not None]
    return "; ".join(reasons) or None
