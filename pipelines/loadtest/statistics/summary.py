"""Summarise a recording as a Scenario. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipelines.loadtest.recording import Outcome, Recording
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.statistics.percentiles import most_in_flight, percentiles, rank_of
from pipelines.loadtest.statistics.steady import settled
from pipelines.loadtest.statistics.stolen import Tick, stolen
from pipelines.loadtest.statistics.timeline import tail_points, timeline
from pipelines.loadtest.statistics.validity import Counted, broken
from pipelines.results import Cause, GeneratorFigures, LatencyFigures, LoadFigures, Scenario, ServerFigures


def summarise(
    recording: Recording,
    settings: LoadSettings,
    checked: int = 0,
    matched: int = 0,
    in_process: bool = False,
    ticks: Sequence[Tick] = (),
) -> Scenario:
    """Compute the result of a load test.

    Latency is ``done - intended`` over answered requests. ``requests`` are all measured ones, including failed ones.
    ``offered_per_s`` is the requested rate: by chance, a short schedule holds somewhat more or fewer requests.
    In ``server``, ``rate_per_s`` counts only the answers that came while the schedule ran: a backlog lowers the rate,
    but a slow last answer does not. In the closed loops it is all answers over the time until the last one (MLPerf's
    offline rule). ``concurrency`` is the setting in the closed loops, and the most requests in flight in ``server``.
    In process, the CPU time is that of the model, not of a client. Requests cut off by an interrupt are in no figure.
    Requests in flight while the hypervisor took processors, which
    :func:`pipelines.loadtest.statistics.stolen.stolen` finds in ``ticks``, are excluded from latencies and send lags,
    but not from counts and rates.
    """
    r, cut_off = _without_cut_off(recording)
    measured = slice(r.first, None)
    answered = r.outcome == Outcome.ANSWERED
    ok, sent = answered[measured], r.outcome[measured] != Outcome.NOT_SENT
    requests, answers = len(ok), int(ok.sum())
    errors = requests - answers
    due_s = (r.intended[measured] - r.start_ns) / 1e9
    all_ms = (r.done - r.intended)[measured] / 1e6
    together = settings.outstanding if settings.scenario == "multi-stream" else 1
    theft = stolen(ticks, r.start_ns, max(r.stop_ns, r.ended_ns))
    calm = ~theft.touches(r.intended[measured], r.done[measured])
    latencies_ms = _of_queries(all_ms, ok & calm, together) if together > 1 else all_ms[ok & calm]
    ordered = np.sort(latencies_ms)
    stats = percentiles(ordered)

    server = settings.scenario == "server"
    stop_ns = r.stop_ns if server else max(r.stop_ns, int(r.done[measured][ok].max(initial=r.start_ns)))
    duration_s = (stop_ns - r.start_ns) / 1e9
    in_window = (r.done >= r.start_ns) & (r.done <= stop_ns) & (r.outcome != Outcome.NOT_SENT)
    rate = int((in_window & answered).sum()) / duration_s if duration_s > 0 else 0.0

    lag_us = np.sort((r.sent - r.intended)[measured][sent & calm]) / 1e3 if server else np.empty(0)
    lag_p50, lag_p99, lag_max = (
        float(lag_us[rank_of(k, len(lag_us))]) if len(lag_us) else None for k in (500, 990, 1000)
    )
    cpu_s = r.cpu_s / requests if requests else None
    elapsed_s = (r.ended_ns - r.start_ns) / 1e9
    cpu_share = r.cpu_s / elapsed_s if elapsed_s > 0 and requests and not in_process else None
    first_ms = (r.first_byte - r.intended)[measured][ok & (r.first_byte[measured] > 0)] / 1e6
    reasons = broken(
        Counted(
            scenario=settings.scenario,
            requests=requests,
            answered=answers,
            errors=errors,
            not_sent=int((~sent).sum()),
            in_flight_limit=r.in_flight_limit,
            ended_in_window=int(in_window.sum()),
            p99_ms=stats.quantiles[99] if stats.quantiles else None,
            send_lag_p99_us=lag_p99,
            first_error=r.error_examples[0] if r.error_examples else None,
            cpu_share=cpu_share,
            steal_share=theft.share_left,
            duration_s=duration_s,
            min_duration_s=settings.min_duration_s,
            min_requests=settings.min_requests,
            planned_s=settings.duration_s if r.interrupted else None,
            cut_off=cut_off,
        )
    )
    trace = server and settings.arrivals == "trace"
    return Scenario(
        name=settings.scenario,
        valid=not reasons,
        invalid_because="; ".join(text for _, text in reasons) or None,
        invalid_causes=tuple(dict.fromkeys(cause for cause, _ in reasons)),
        partial=r.interrupted,
        answers_checked=checked,
        match_share=matched / checked if checked else None,
        load=LoadFigures(
            duration_s=duration_s,
            batch=settings.batch,
            concurrency=most_in_flight(r.sent[measured][sent], r.done[measured][sent])
            if server
            else settings.outstanding,
            offered_per_s=_mean_rate(requests, duration_s) if trace else settings.rate_per_s if server else None,
            rate_per_s=rate,
            samples_per_s=rate * settings.batch,
            requests=requests,
            errors=errors,
            error_examples=r.error_examples,
            warmup_requests=r.first,
            closed_loop=not server,
            arrivals=settings.arrivals if server else None,
            received_bytes=int(r.size[measured][ok].sum(dtype=np.int64)) if not in_process else None,
        ),
        latency=LatencyFigures(
            mean_ms=stats.mean,
            p50_ms=stats.claimed["p50"],
            p90_ms=stats.claimed["p90"],
            p99_ms=stats.claimed["p99"],
            max_ms=stats.largest,
            unclaimable=stats.unclaimable,
            quantiles_ms=stats.quantiles,
            tail=tail_points(ordered),
            timeline=timeline(due_s, all_ms, ok, duration_s),
            first_byte_p50_ms=float(np.sort(first_ms)[rank_of(500, len(first_ms))]) if len(first_ms) else None,
            steady_from_s=settled(due_s[ok], all_ms[ok]),
        ),
        generator=GeneratorFigures(
            send_lag_p50_us=lag_p50,
            send_lag_p99_us=lag_p99,
            send_lag_max_us=lag_max,
            cpu_us_per_request=cpu_s * 1e6 if cpu_s is not None and not in_process else None,
            cpu_share=cpu_share,
            cpus=r.cpus,
            priority=r.priority,
            steal_share=theft.share,
            cut_share=theft.cut_share,
        ),
        server=ServerFigures(
            cpu_ms_per_request=cpu_s * 1e3 if cpu_s is not None and in_process else None,
            # Counted until the last request has ended: a backlog still uses CPU time after the schedule.
            cores=r.cpu_s / elapsed_s if in_process and requests and elapsed_s > 0 else None,
        ),
    )


def _without_cut_off(recording: Recording) -> tuple[Recording, int]:
    """Remove the requests that an interrupt cut off; return the recording and how many measured ones were removed."""
    keep = recording.outcome != Outcome.CUT_OFF
    if keep.all():
        return recording, 0
    arrays = {name: getattr(recording, name)[keep] for name in ("intended", "sent", "done", "outcome")}
    arrays |= {name: getattr(recording, name)[keep] for name in ("first_byte", "size")}
    first = int(keep[: recording.first].sum())
    return replace(recording, **arrays, first=first), int((~keep[recording.first :]).sum())


def _of_queries(latencies_ms: np.ndarray, ok: np.ndarray, together: int) -> np.ndarray:
    """Return the latency of each complete query of ``together`` requests: its last answer's. Skip those with errors."""
    whole = len(ok) // together * together
    answered = ok[:whole].reshape(-1, together).all(axis=1)
    return np.asarray(latencies_ms[:whole].reshape(-1, together).max(axis=1)[answered])


def _mean_rate(requests: int, seconds: float) -> float | None:
    return requests / seconds if seconds > 0 else None


def nothing_measured(settings: LoadSettings, reason: str) -> Scenario:
    """Return the result of a test that the machine could not run."""
    empty = np.empty(0, np.int64)
    recording = Recording(empty, empty, empty, empty, empty, empty, 0, 0, 0, 0.0, 0, (reason,))
    return replace(summarise(recording, settings), invalid_because=reason, invalid_causes=(Cause.MACHINE,))
