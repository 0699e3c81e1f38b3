from __future__ import annotations

import numpy as np
import pytest

from pipelines.loadtest.recording import Outcome, Recorder, Recording
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.statistics.merge import merge
from pipelines.loadtest.statistics.summary import summarise

MS = 1_000_000


def recorded(begin_ns: int, latencies_ms: list[float], warmup: int = 0, error: str = "") -> Recording:
    """A request every 10 ms from ``begin_ns`` on; with ``error``, the last one fails."""
    recorder: Recorder[bytes] = Recorder(1000)
    recorder.measure_from(warmup)
    for number, latency in enumerate(latencies_ms):
        due = begin_ns + 10 * MS * number
        last = error and number == len(latencies_ms) - 1
        index = recorder.begin(due, due + 1000)
        recorder.end(index, Outcome.REFUSED if last else Outcome.ANSWERED, due + int(latency * MS), error, due + 500, 7)
    start, stop = begin_ns + 10 * MS * warmup, begin_ns + 10 * MS * len(latencies_ms)
    return recorder.finish(start, stop, 0.25, 100)


def test_percentiles_of_merged_runs_are_those_of_all_latencies() -> None:
    """Two runs with the medians 1 and 9: the average of medians is 5, the median of all is not."""
    one, other = recorded(0, [1.0] * 300), recorded(77 * MS, [9.0] * 100)
    found = summarise(merge([one, other]), LoadSettings("server", rate_per_s=100))
    assert (found.load.requests, found.latency.p50_ms, found.latency.p90_ms, found.latency.max_ms) == (
        400,
        1.0,
        9.0,
        9.0,
    )
    assert found.latency.mean_ms == pytest.approx(3.0)
    assert found.load.received_bytes == 2800


def test_runs_that_follow_one_another_have_no_gaps_and_no_warm_up() -> None:
    runs = [recorded(10**12, [2.0] * 50, warmup=10), recorded(5 * 10**12, [2.0] * 40, warmup=5, error="HTTP 500")]
    found = merge(runs)
    assert len(found.sent) == 40 + 35
    assert np.all(np.diff(found.intended) >= 0)
    assert np.all((found.done - found.intended) == 2 * MS)
    assert np.all((found.first_byte - found.intended) == 500)
    assert (found.cpu_s, found.error_examples) == (0.5, ("HTTP 500",))
    assert int((found.outcome == Outcome.REFUSED).sum()) == 1
