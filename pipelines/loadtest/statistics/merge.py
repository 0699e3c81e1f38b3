"""Joins the recordings of several runs: percentiles are those of all latencies, never averages of percentiles. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.loadtest.recording import Recording

TIMES = ("intended", "sent", "done", "first_byte")


def merge(recordings: Sequence[Recording]) -> Recording:
    """Joins the measured parts of runs, as if they followed one another without gaps; warm-up is left out.

    All times of a run are shifted alike, so that no latency changes. CPU times are added; error examples are those
    of all runs.
    """
    end_ns, shifts = 0, []
    for one in recordings:
        shifts.append(end_ns - one.start_ns)
        end_ns += max(one.stop_ns, one.ended_ns) - one.start_ns
    columns = {}
    for name in ("intended", "sent", "done", "first_byte", "size", "outcome"):
        parts = []
        for one, shift in zip(recordings, shifts, strict=True):
            part = getattr(one, name)[one.first :]
            if name in TIMES and shift:
                part = np.where(part > 0, part + shift, 0) if name == "first_byte" else part + shift
            parts.append(part)
        columns[name] = np.concatenate(parts)
    order = np.argsort(columns["intended"], kind="stable")
    starts = [one.start_ns + shift for one, shift in zip(recordings, shifts, strict=True)]
    stops = [one.stop_ns + shift for one, shift in zip(recordings, shifts, strict=True)]
    ends = [one.ended_ns + shift for one, shift in zip(recordings, shifts, strict=True)]
    return Recording(
        **{name: column[order] for name, column in columns.items()},
        first=0,
        start_ns=min(starts),
        stop_ns=max(stops),
        cpu_s=sum(one.cpu_s for one in recordings),
        in_flight_limit=sum(one.in_flight_limit for one in recordings),
        error_examples=tuple(dict.fromkeys(text for one in recordings for text in one.error_examples))[:5],
        ended_ns=max(ends),
        interrupted=any(one.interrupted for one in recordings),
        cpus=tuple(sorted({cpu for one in recordings for cpu in one.cpus})),
        priority=recordings[0].priority,
    )
