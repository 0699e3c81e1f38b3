"""Judge a row in two ways: its status describes the path, its measurement describes the figures. Pure.

A busy machine does not fail a path that was packaged, proved, served and gave correct answers: the figures are marked
as disturbed, and never compared with sound ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipelines.loadtest.statistics.limits import MAX_ERROR_SHARE, MAX_STEAL_SHARE, send_lag_limit_us
from pipelines.results import Cause, Measurement, Row, Scenario

MAX_FOREIGN = 0.10
"""Share of all processor time during a load test: rows within 10 % of each other count as equal."""


def marked(scenario: Scenario) -> Scenario:
    """Mark the load test as invalid, because of the machine, if other processes took more than MAX_FOREIGN."""
    foreign = scenario.server.foreign_cpu_share
    if foreign is None or foreign <= MAX_FOREIGN:
        return scenario
    why = f"other processes took {foreign:.0%} of the processors (limit {MAX_FOREIGN:.0%})"
    return replace(
        scenario,
        valid=False,
        invalid_because="; ".join(filter(None, [scenario.invalid_because, why])),
        invalid_causes=tuple(dict.fromkeys([*scenario.invalid_causes, Cause.MACHINE])),
    )


def failure(scenario: Scenario) -> str | None:
    """Return why a load test fails the path (failed requests, different answers); None if it does not."""
    load = scenario.load
    if scenario.match_share is not None and scenario.match_share < 1:
        return (
            f"{1 - scenario.match_share:.2%} of {scenario.answers_checked} checked answers differ "
            "from the in-process ones"
        )
    if load.errors > MAX_ERROR_SHARE * load.requests:
        return scenario.invalid_because or f"{load.errors:,} of {load.requests:,} requests failed"
    return None


def disturbance(row: Row) -> float:
    """Return the disturbance of a row's worst load test: 0 is quiet, above 1 is not sound."""
    return max(map(_disturbance, row.scenarios), default=0.0)


def _disturbance(scenario: Scenario) -> float:
    generator, quantiles = scenario.generator, scenario.latency.quantiles_ms
    lag_limit = send_lag_limit_us(quantiles[99] if quantiles else None)
    return max(
        (scenario.server.foreign_cpu_share or 0.0) / MAX_FOREIGN,
        (generator.steal_share or 0.0) / MAX_STEAL_SHARE,
        (generator.send_lag_p99_us or 0.0) / lag_limit,
    )


def judged(row: Row) -> Row:
    """Set the status and the measurement of a row; a row that is not ok is left as it is.

    A row fails if its requests failed or its answers were wrong. Otherwise, an invalid load test makes its measurement
    disturbed if the machine is the cause, else missing.
    """
    if row.status != "ok":
        return row
    wrong = [f"{one.name}: {why}" for one in row.scenarios if (why := failure(one)) is not None]
    if wrong:
        return replace(row, status="failed", reason="; ".join(wrong))
    doubtful = [one for one in row.scenarios if not one.valid]
    kind: Measurement = "sound"
    if any(Cause.MACHINE in one.invalid_causes for one in doubtful):
        kind = "disturbed"
    elif doubtful or not row.scenarios:
        kind = "missing"
    reasons = [f"{one.name}: {one.invalid_because}" for one in doubtful]
    return replace(row, measurement=kind, measurement_reason="; ".join(reasons) or None)


def soundest(rounds: Sequence[Row]) -> list[Row]:
    """Select the judged rounds to combine: the sound ones if they are more than half and no round failed, else all."""
    sound = [row for row in rounds if row.measurement == "sound"]
    failed = any(row.status != "ok" for row in rounds)
    return sound if len(sound) > len(rounds) / 2 and not failed else list(rounds)
