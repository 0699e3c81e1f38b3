"""Runs a load test of any server: takes bodies and an address, returns a result with everything measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipelines.loadtest.curve import Subject, Watcher, once
from pipelines.loadtest.recording import Outcome, Recording
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.statistics.intervals import Interval, percentile_interval
from pipelines.loadtest.statistics.merge import merge
from pipelines.loadtest.statistics.percentiles import CLAIMS
from pipelines.loadtest.statistics.summary import summarise
from pipelines.results import Cause, Percentile, Scenario


@dataclass(frozen=True, slots=True)
class Result:
    """One or several runs; ``whole`` covers all of their requests together.

    ``latencies_ms`` are sorted, for each run; ``intervals`` maps p50, p90 and p99 to an interval, or to
    why there is none. ``started`` is in seconds since 1970.
    """

    whole: Scenario
    runs: tuple[Scenario, ...]
    latencies_ms: tuple[np.ndarray, ...]
    intervals: dict[Percentile, Interval | str]
    notes: tuple[str, ...]
    started: float


def run(subject: Subject, settings: LoadSettings, repeat: int = 1, watch: Watcher | None = None) -> Result:
    """Does the runs one after the other, each with the next seed. After an interrupt, returns a partial result.

    Raises:
        UserError, SlipwayError: as :func:`pipelines.loadtest.measure.measure`.
    """
    started = time.time()
    runs: list[Scenario] = []
    recordings: list[Recording] = []
    for number in range(repeat):
        chosen = replace(settings, seed=settings.seed + number)
        try:
            scenario, recording = once(subject, chosen, _scaled(watch, number, repeat))
        except KeyboardInterrupt:
            if not runs:
                raise
            break  # nothing of this run is kept, but the earlier ones are
        runs.append(scenario)
        if recording is not None:
            recordings.append(recording)
        if scenario.partial:
            break
    latencies = tuple(_latencies_ms(one) for one in recordings)
    whole = runs[0] if repeat == 1 else _together(runs, recordings, settings, repeat)
    whole, notes = _judged(whole, subject)
    intervals = {name: percentile_interval(latencies, level) for name, level in CLAIMS.items()} if repeat > 1 else {}
    return Result(whole, tuple(runs), latencies, intervals, notes, started)


def _together(
    runs: Sequence[Scenario], recordings: Sequence[Recording], settings: LoadSettings, repeat: int
) -> Scenario:
    """Returns the result over all requests of all runs; valid if every run is."""
    if not recordings:
        return runs[0]
    checked = sum(one.answers_checked for one in runs)
    matched = sum(round((one.match_share or 0.0) * one.answers_checked) for one in runs)
    whole = summarise(merge(recordings), settings, checked, matched)
    reasons = [f"run {number}: {one.invalid_because}" for number, one in enumerate(runs, 1) if one.invalid_because]
    causes = [cause for one in runs for cause in one.invalid_causes]
    partial = len(runs) < repeat or runs[-1].partial
    if partial:
        reasons.append(f"interrupted in run {len(runs)} of {repeat}")
        causes.append(Cause.INTERRUPTED)
    first = runs[0]
    loads = [one.load for one in runs]
    seconds = sum(one.duration_s for one in loads)
    rate = sum(one.rate_per_s * one.duration_s for one in loads) / seconds if seconds else 0.0
    stolen = [one.generator.steal_share for one in runs if one.generator.steal_share is not None]
    return replace(
        whole,
        valid=not reasons,
        invalid_because="; ".join(reasons) or None,
        invalid_causes=tuple(dict.fromkeys(causes)),
        partial=partial,
        load=replace(
            whole.load,
            duration_s=seconds,
            rate_per_s=rate,
            samples_per_s=rate * settings.batch,
            concurrency=max(one.concurrency for one in loads),
            warmup_requests=sum(one.warmup_requests for one in loads),
            distinct_inputs=first.load.distinct_inputs,
        ),
        latency=replace(whole.latency, steady_from_s=None),
        generator=replace(
            whole.generator,
            governor=first.generator.governor,
            steal_share=max(stolen) if stolen else None,
            cpu_share=max((one.generator.cpu_share or 0.0 for one in runs), default=None),
        ),
    )


def _judged(whole: Scenario, subject: Subject) -> tuple[Scenario, tuple[str, ...]]:
    """Returns the result, invalid if answers differ from the expected ones, and notes for the user."""
    notes = []
    if whole.match_share is not None and whole.match_share < 1:
        wrong = f"{1 - whole.match_share:.2%} of {whole.answers_checked:,} checked answers differ"
        if subject.expected:
            reason = "; ".join(filter(None, [whole.invalid_because, f"{wrong} from the expected ones"]))
            causes = tuple(dict.fromkeys((*whole.invalid_causes, Cause.SERVER)))
            whole = replace(whole, valid=False, invalid_because=reason, invalid_causes=causes)
        else:
            notes.append(f"{wrong} from the first answer to the same body: give the right ones with --expect")
    if whole.load.distinct_inputs == 1:
        more = "; give several with --body" if any(subject.bodies) else ""
        notes.append(f"all requests are the same, so a cache of the server may have answered them{more}")
    if whole.load.closed_loop and whole.name != "offline":
        notes.append("a closed loop waits for a slow server and hides its stalls: do not judge tail latency by it")
    return whole, tuple(notes)


def _scaled(watch: Watcher | None, number: int, repeat: int) -> Watcher | None:
    return None if watch is None else lambda share, glance: watch((number + share) / repeat, glance)


def _latencies_ms(recording: Recording) -> np.ndarray:
    measured = slice(recording.first, None)
    answered = recording.outcome[measured] == Outcome.ANSWERED
    return np.sort((recording.done - recording.intended)[measured][answered]) / 1e6


def plain_interval(interval: Interval | str) -> dict[str, Any]:
    """Returns an interval for JSON, with the unit of latencies."""
    if isinstance(interval, str):
        return {"reason": interval}
    return {"value_ms": interval.value, "low_ms": interval.low, "high_ms": interval.high, "coverage": interval.coverage}
