"""Several measurements of a row become one: medians, and how far the rounds scattered. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from pipelines.loadtest.statistics.intervals import median_interval
from pipelines.results import Row, Scenario, Spread, percentile_of

Measured = TypeVar("Measured", Row, Scenario)

MAX_EXAMPLES = 5
ROW_FIGURES = ("cold_start_s", "peak_memory_bytes")
MEDIANS = (
    "duration_s",
    "rate_per_s",
    "samples_per_s",
    "mean_ms",
    "p50_ms",
    "p90_ms",
    "p99_ms",
    "send_lag_p50_us",
    "send_lag_p99_us",
    "client_cpu_us_per_request",
    "client_cpu_share",
    "server_cpu_ms_per_request",
    "proxy_cpu_ms_per_request",
    "first_byte_p50_ms",
    "server_cores",
    "server_service_cores",
    "steal_share",
    "foreign_cpu_share",
)
SUMS = ("requests", "errors", "warmup_requests", "answers_checked", "received_bytes")
LARGEST = ("max_ms", "send_lag_max_us", "attempts", "concurrency", "server_threads", "server_busy_threads")
SPREADS = ("p50_ms", "p90_ms", "p99_ms", "samples_per_s", "server_cores")


def combine(rounds: Sequence[Row]) -> Row:
    """One row of all rounds: figures are medians, scenarios as :func:`_together` says.

    A round that failed fails the row, and is named: a server that dies once in five runs is not fit. Figures are
    then those of the other rounds, and of the failed ones if there are no others.
    A round that was cut off counts only where there is no whole one.
    """
    whole = [row for row in rounds if row.status != "skipped"] or list(rounds[:1])
    if len(whole) == 1:
        return whole[0]
    measured = [row for row in whole if row.status == "ok"] or whole
    failed = [(number, row) for number, row in enumerate(rounds, 1) if row.status == "failed"]
    base = _medians(measured, ROW_FIGURES)
    if failed:
        number, first = failed[0]
        base = replace(base, status="failed", reason=f"round {number} of {len(rounds)}: {first.reason}")
    names = dict.fromkeys(scenario.name for row in measured for scenario in row.scenarios)
    scenarios = tuple(
        _together([scenario for row in measured for scenario in row.scenarios if scenario.name == name])
        for name in names
    )
    probes = [row.threads_probe for row in measured if row.threads_probe is not None]
    return replace(
        base,
        scenarios=scenarios,
        rounds=len(whole),
        spreads=_spreads(measured, ROW_FIGURES),
        threads_probe=_together(probes) if probes else None,
        breaches=_some([text for row in whole for text in row.breaches]),
        threads_seen=any(row.threads_seen for row in whole),
    )


def _some(texts: Sequence[str]) -> tuple[str, ...]:
    """The different ones of these; of many the first, and how many more there are."""
    different = tuple(dict.fromkeys(texts))
    more = len(different) - MAX_EXAMPLES
    return (*different[:MAX_EXAMPLES], f"and {more} more") if more > 0 else different


def _together(rounds: Sequence[Scenario]) -> Scenario:
    """One load test of several: figures of the valid rounds, if these are more than half; counts of all.

    Pictures (quantiles, tail, time line) are those of the round in the middle.
    """
    valid = [one for one in rounds if one.valid]
    fit = len(valid) > len(rounds) / 2
    chosen = valid if fit else list(rounds)
    by_latency = sorted(chosen, key=lambda one: one.p50_ms or 0.0)
    found = _medians(chosen, MEDIANS, by_latency[len(by_latency) // 2])
    changes: dict[str, object] = {}
    for name in SUMS:
        known = [value for one in rounds if (value := getattr(one, name)) is not None]
        changes[name] = sum(known) if known else None
    for name in LARGEST:
        known = [value for one in chosen if (value := getattr(one, name)) is not None]
        changes[name] = max(known) if known else None
    reasons = [f"round {number}: {one.invalid_because}" for number, one in enumerate(rounds, 1) if not one.valid]
    checked = sum(one.answers_checked for one in rounds)
    matched = sum((one.match_share or 0.0) * one.answers_checked for one in rounds)
    return replace(
        found,
        **changes,  # type: ignore[arg-type]
        valid=fit,
        invalid_because=None if fit else "; ".join(_some(reasons)),
        unclaimable=_unclaimable(chosen, found),
        match_share=matched / checked if checked else None,
        error_examples=tuple(dict.fromkeys(text for one in rounds for text in one.error_examples))[:MAX_EXAMPLES],
        curve=next((one.curve for one in rounds if one.curve), ()),  # measured in one round only
        rounds=len(chosen),
        spreads=_spreads(chosen, SPREADS),
    )


def _unclaimable(rounds: Sequence[Scenario], together: Scenario) -> tuple[str, ...]:
    """Why percentiles are missing: of each one that is, as the first of the rounds says it of itself."""
    said: dict[str, str] = {}
    for text in (text for one in rounds for text in one.unclaimable):
        said.setdefault(percentile_of(text), text)
    where = " in a round" if len(rounds) > 1 else ""
    return tuple(f"{text}{where}" for name, text in said.items() if getattr(together, f"{name}_ms", None) is None)


def _medians(found: Sequence[Measured], names: Sequence[str], base: Measured | None = None) -> Measured:
    """``base`` (the first if left out) with the medians of its figures; a figure that half of them lack is None."""
    base = found[0] if base is None else base
    changes: dict[str, float | int | None] = {}
    for name in names:
        known = [value for one in found if (value := getattr(one, name)) is not None]
        middle = statistics.median(known) if len(known) > len(found) / 2 else None
        whole = middle is not None and all(isinstance(value, int) for value in known)
        changes[name] = round(middle) if whole and middle is not None else middle
    return replace(base, **changes)  # type: ignore[arg-type]


def _spreads(found: Sequence[Measured], names: Sequence[str]) -> tuple[Spread, ...]:
    spreads = []
    for name in names:
        values = tuple(float(value) for one in found if (value := getattr(one, name)) is not None)
        if len(values) > max(1.0, len(found) / 2):
            interval = median_interval(values)
            if isinstance(interval, str):
                spreads.append(Spread(name, min(values), max(values), None, values))
            else:
                spreads.append(Spread(name, interval.low, interval.high, interval.coverage, values))
    return tuple(spreads)
