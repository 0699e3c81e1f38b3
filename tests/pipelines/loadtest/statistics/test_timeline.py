from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.loadtest.statistics.timeline import MOST_MOMENTS, tail_points, timeline


@given(st.lists(st.floats(0, 99, exclude_max=True), max_size=200), st.floats(0.05, 4_000), st.integers(0, 99))
def test_every_request_is_in_one_moment(due: list[float], duration: float, seed: int) -> None:
    times = np.sort(np.array(due)) * duration / 99
    draw = np.random.default_rng(seed)
    latencies, answered = draw.exponential(5, len(times)), draw.random(len(times)) < 0.8
    found = timeline(times, latencies, answered, duration)
    assert len(found) <= MOST_MOMENTS + 7  # an hour takes 60, a little more than an hour some more
    assert sum(moment.requests for moment in found) == len(times)
    assert sum(moment.errors for moment in found) == int((~answered).sum())
    largest = [moment.max_ms for moment in found if moment.max_ms is not None]
    if answered.any():
        assert max(largest) == latencies[answered].max()
    for moment in found:
        assert (moment.p99_ms is None) == (moment.requests == moment.errors)


@given(st.lists(st.floats(0, 1e6), max_size=300))
def test_tail_points_say_how_many_are_larger(values: list[float]) -> None:
    ordered = np.sort(np.array(values))
    points = tail_points(ordered)
    for inverse, value in points[:-1]:
        if inverse > 1:
            assert int((ordered > value).sum()) <= len(ordered) // inverse
    if values:
        assert points[0] == (1.0, ordered[0])
        assert points[-1] == (len(values) + 1, ordered[-1])
    assert [value for _, value in points] == sorted(value for _, value in points)
