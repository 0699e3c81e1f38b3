"""Judges whether a machine was too noisy for its figures to be compared. Pure.

The limits follow from the report, which takes rows within 10 % of each other as equal
(``pipelines.report.recommend``). A disturbance of one row that spares the next must stay below half of that.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from pipelines.results import Beat, Cause, NoiseCheck, Scenario

MAX_FOREIGN = 0.05
MAX_STEAL = 0.05
MAX_DRIFT = 0.10
MAX_LAG_US = 1_000.0
"""An idle machine stays far below it (``benchmarks/loadtest``); above it, the generator had to wait."""
MAX_DISTURBED = 0.10
BUSY_BEFORE = "other processes, just before the run"


def judge(scenarios: Sequence[Scenario], beats: Sequence[Beat], foreign_before: float | None) -> tuple[NoiseCheck, ...]:
    """Do every check. ``scenarios`` are all load tests of all rounds; what was not measured passes, with a null."""
    half = "half of the 10 % within which rows are taken as equal"
    lags = [lag for one in scenarios if (lag := one.generator.send_lag_p99_us) is not None and one.generator.cpus]
    disturbed = sum(Cause.MACHINE in one.invalid_causes for one in scenarios) / len(scenarios) if scenarios else None
    return (
        _check(BUSY_BEFORE, foreign_before, MAX_FOREIGN, "share", f"of all processors; {half}"),
        _check(
            "other processes, during load tests",
            _mean(scenarios, lambda one: one.server.foreign_cpu_share),
            MAX_FOREIGN,
            "share",
            f"of all processors, mean over the load tests; {half}",
        ),
        _check(
            "time stolen by the hypervisor",
            _mean(scenarios, lambda one: one.generator.steal_share),
            MAX_STEAL,
            "share",
            f"of all processors, mean over the load tests; {half}",
        ),
        _check(
            "calibration loop, slowest over fastest",
            _drift(beats),
            MAX_DRIFT,
            "share",
            "how much longer the same work took at the slowest moment; rows within 10 % are taken as equal",
        ),
        _check(
            "send lag of the generator, p99",
            statistics.median(lags) if lags else None,
            MAX_LAG_US,
            "us",
            "median over the server scenarios; an idle machine stays below",
        ),
        _check(
            "load tests that the machine disturbed",
            disturbed,
            MAX_DISTURBED,
            "share",
            "if more than one in ten is, the others were disturbed too",
        ),
    )


def _check(name: str, measured: float | None, limit: float, unit: str, reason: str) -> NoiseCheck:
    passed = measured is None or measured <= limit
    return NoiseCheck(name, measured, limit, unit, reason, passed)  # type: ignore[arg-type]


def _mean(scenarios: Sequence[Scenario], value: Callable[[Scenario], float | None]) -> float | None:
    """Return the mean over time; None if nothing was measured."""
    known = [(found, one.load.duration_s) for one in scenarios if (found := value(one)) is not None]
    seconds = sum(length for _, length in known)
    return sum(found * length for found, length in known) / seconds if seconds else None


def _drift(beats: Sequence[Beat]) -> float | None:
    """Return how much longer the slowest beat took than the fastest, 0.1 for a tenth; None for fewer than two."""
    times = [one.median_ms for one in beats]
    return max(times) / min(times) - 1 if len(times) > 1 and min(times) > 0 else None
