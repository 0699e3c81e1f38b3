"""A recording becomes a Scenario: pure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipelines.loadtest.recording import Outcome, Recording
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.statistics import most_in_flight, percentiles, rank_of
from pipelines.loadtest.validity import Counted, invalid_because
from pipelines.results import Scenario


def summarise(
    recording: Recording, settings: LoadSettings, checked: int = 0, matched: int = 0, in_process: bool = False
) -> Scenario:
    """The result of a run.

    Latency is ``done - intended`` over answered requests. ``requests`` are all measured ones, those
    that failed included. ``offered_per_s`` is the rate that was asked for: a short schedule holds somewhat
    more or fewer requests, by chance. In ``server``, ``rate_per_s`` counts the answers that came while the
    schedule ran, so that a backlog shows as a lower rate and a slow last answer does not; in the
    closed loops it is all answers over the time until the last one (MLPerf's offline rule).
    ``concurrency`` is the setting in the closed loops and the most that were in flight in ``server``.
    In process, the CPU time is the model's own and not a client's.
    """
    r, measured = recording, slice(recording.first, None)
    answered = r.outcome == Outcome.ANSWERED
    ok, sent = answered[measured], r.outcome[measured] != Outcome.NOT_SENT
    requests, answers = len(ok), int(ok.sum())
    stats = percentiles((r.done - r.intended)[measured][ok] / 1e6)

    server = settings.scenario == "server"
    stop_ns = r.stop_ns if server else max(r.stop_ns, int(r.done[measured][ok].max(initial=r.start_ns)))
    duration_s = (stop_ns - r.start_ns) / 1e9
    in_window = (r.done >= r.start_ns) & (r.done <= stop_ns) & (r.outcome != Outcome.NOT_SENT)
    rate = int((in_window & answered).sum()) / duration_s if duration_s > 0 else 0.0

    lag_us = np.sort((r.sent - r.intended)[measured][sent]) / 1e3 if server else np.empty(0)
    lag_p50, lag_p99 = (float(lag_us[rank_of(k, len(lag_us))]) if len(lag_us) else None for k in (500, 990))
    cpu_s = r.cpu_s / requests if requests else None
    reason = invalid_because(
        Counted(
            scenario=settings.scenario,
            requests=requests,
            answered=answers,
            errors=requests - answers,
            not_sent=int((~sent).sum()),
            in_flight_limit=r.in_flight_limit,
            ended_in_window=int(in_window.sum()),
            max_ms=stats.largest,
            send_lag_p99_us=lag_p99,
            first_error=r.error_examples[0] if r.error_examples else None,
        )
    )
    return Scenario(
        name=settings.scenario,
        valid=reason is None,
        invalid_because=reason,
        duration_s=duration_s,
        batch=settings.batch,
        concurrency=most_in_flight(r.sent[measured][sent], r.done[measured][sent]) if server else settings.outstanding,
        offered_per_s=settings.rate_per_s if server else None,
        rate_per_s=rate,
        samples_per_s=rate * settings.batch,
        requests=requests,
        warmup_requests=r.first,
        errors=requests - answers,
        error_examples=r.error_examples,
        mean_ms=stats.mean,
        p50_ms=stats.claimed["p50"],
        p90_ms=stats.claimed["p90"],
        p99_ms=stats.claimed["p99"],
        max_ms=stats.largest,
        unclaimable=stats.unclaimable,
        quantiles_ms=stats.quantiles,
        answers_checked=checked,
        match_share=matched / checked if checked else None,
        send_lag_p50_us=lag_p50,
        send_lag_p99_us=lag_p99,
        client_cpu_us_per_request=cpu_s * 1e6 if cpu_s is not None and not in_process else None,
        server_cpu_ms_per_request=cpu_s * 1e3 if cpu_s is not None and in_process else None,
    )


def nothing_measured(settings: LoadSettings, reason: str) -> Scenario:
    """The result of a test that could not be done."""
    empty = np.empty(0, np.int64)
    recording = Recording(empty, empty, empty, empty, 0, 0, 0, 0.0, 0, (reason,))
    scenario = summarise(recording, settings)
    return replace(scenario, invalid_because=reason)
