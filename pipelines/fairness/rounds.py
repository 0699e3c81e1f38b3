"""Combine several measurements of a row: medians, and ranges over the rounds. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, TypeVar

from pipelines.loadtest.statistics.intervals import median_interval
from pipelines.results import Row, Scenario, Spread, Unclaimable

Measured = TypeVar("Measured", Row, Scenario)

MAX_EXAMPLES = 5
ROW_FIGURES = ("cold_start_s", "peak_memory_bytes", "download_bytes", "load_s", "page_memory_bytes")
MEDIANS = (
    "load.duration_s",
    "load.rate_per_s",
    "load.samples_per_s",
    "latency.mean_ms",
    "latency.p50_ms",
    "latency.p90_ms",
    "latency.p99_ms",
    "latency.first_byte_p50_ms",
    "generator.send_lag_p50_us",
    "generator.send_lag_p99_us",
    "generator.cpu_us_per_request",
    "generator.cpu_share",
    "generator.steal_share",
    "server.cpu_ms_per_request",
    "server.proxy_cpu_ms_per_request",
    "server.cores",
    "server.service_cores",
    "server.foreign_cpu_share",
)
SUMS = ("load.requests", "load.errors", "load.warmup_requests", "load.received_bytes", "answers_checked")
LARGEST = (
    "load.concurrency",
    "latency.max_ms",
    "generator.send_lag_max_us",
    "generator.cut_share",
    "server.threads",
    "server.busy_threads",
)
SPREADS = ("latency.p50_ms", "latency.p90_ms", "latency.p99_ms", "load.samples_per_s", "server.cores")


def combine(rounds: Sequence[Row]) -> Row:
    """Combine all rounds of a row: figures are medians, and :func:`_together` combines scenarios.

    A failed round fails the row, and is named: a server that dies once in five runs is not fit. Figures are then
    those of the other rounds, or of the failed ones if there are no others.
    A round that was cut off counts only if no round is complete.
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
    """Remove duplicates; keep at most MAX_EXAMPLES, and count the rest."""
    different = tuple(dict.fromkeys(texts))
    more = len(different) - MAX_EXAMPLES
    return (*different[:MAX_EXAMPLES], f"and {more} more") if more > 0 else different


def _together(rounds: Sequence[Scenario]) -> Scenario:
    """Combine several load tests: figures of the valid rounds, if these are more than half; counts of all rounds.

    Data of plots (quantiles, tail, time line) are those of the round with the median latency.
    """
    valid = [one for one in rounds if one.valid]
    fit = len(valid) > len(rounds) / 2
    chosen = valid if fit else list(rounds)
    by_latency = sorted(chosen, key=lambda one: one.latency.p50_ms or 0.0)
    found = _medians(chosen, MEDIANS, by_latency[len(by_latency) // 2])
    changes: dict[str, object] = {}
    for name in SUMS:
        known = _known(rounds, name)
        changes[name] = sum(known) if known else None
    for name in LARGEST:
        known = _known(chosen, name)
        changes[name] = max(known) if known else None
    errors = (text for one in rounds for text in one.load.error_examples)
    changes["load.error_examples"] = tuple(dict.fromkeys(errors))[:MAX_EXAMPLES]
    changes["latency.unclaimable"] = _unclaimable(chosen, found)
    reasons = [f"round {number}: {one.invalid_because}" for number, one in enumerate(rounds, 1) if not one.valid]
    checked = sum(one.answers_checked for one in rounds)
    matched = sum((one.match_share or 0.0) * one.answers_checked for one in rounds)
    return replace(
        changed(found, changes),
        valid=fit,
        invalid_because=None if fit else "; ".join(_some(reasons)),
        invalid_causes=() if fit else tuple(dict.fromkeys(cause for one in rounds for cause in one.invalid_causes)),
        match_share=matched / checked if checked else None,
        curve=next((one.curve for one in rounds if one.curve), ()),  # measured in one round only
        rounds=len(chosen),
        spreads=_spreads(chosen, SPREADS),
    )


def _unclaimable(rounds: Sequence[Scenario], together: Scenario) -> tuple[Unclaimable, ...]:
    """Explain each missing percentile, with the reason of the first round that lacks it."""
    first: dict[str, Unclaimable] = {}
    for one in (one for scenario in rounds for one in scenario.latency.unclaimable):
        first.setdefault(one.percentile, one)
    return tuple(one for name, one in first.items() if getattr(together.latency, f"{name}_ms") is None)


def _known(found: Sequence[Measured], name: str) -> list[Any]:
    """List the values of a figure that are not None; names may have a dot, such as ``latency.p50_ms``."""
    return [value for value in map(attrgetter(name), found) if value is not None]


def changed(one: Measured, values: Mapping[str, object]) -> Measured:
    """Copy with new values, named as in :func:`_known`."""
    changes: dict[str, Any] = {}
    for name, value in values.items():
        part, _, figure = name.rpartition(".")
        if part:
            changes[part] = replace(changes.get(part, getattr(one, part)), **{figure: value})
        else:
            changes[figure] = value
    return replace(one, **changes)


def _medians(found: Sequence[Measured], names: Sequence[str], base: Measured | None = None) -> Measured:
    """Return ``base`` (default: the first) with the medians of all; a figure that half of them lack is None."""
    base = found[0] if base is None else base
    changes: dict[str, float | int | None] = {}
    for name in names:
        known = _known(found, name)
        middle = statistics.median(known) if len(known) > len(found) / 2 else None
        whole = middle is not None and all(isinstance(value, int) for value in known)
        changes[name] = round(middle) if whole and middle is not None else middle
    return changed(base, changes)


def _spreads(found: Sequence[Measured], names: Sequence[str]) -> tuple[Spread, ...]:
    spreads = []
    for name in names:
        values = tuple(map(float, _known(found, name)))
        if len(values) > max(1.0, len(found) / 2):
            interval = median_interval(values)
            if isinstance(interval, str):
                spreads.append(Spread(name, min(values), max(values), None, values))
            else:
                spreads.append(Spread(name, interval.low, interval.high, interval.coverage, values))
    return tuple(spreads)
