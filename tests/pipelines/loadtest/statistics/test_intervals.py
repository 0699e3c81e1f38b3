from __future__ import annotations

import math

import numpy as np
import pytest

from pipelines.loadtest.standalone.queueing import queue_p99_s, sojourn_s
from pipelines.loadtest.statistics.intervals import (
    COVERAGE,
    Interval,
    median_interval,
    percentile_interval,
    ratio_interval,
    t_quantile,
)

UTILISATION = 0.8
TRIALS = 400


@pytest.mark.parametrize(
    ("p", "freedom", "value"),  # NIST/SEMATECH e-Handbook, table 1.3.6.7.2
    [(0.975, 4, 2.776), (0.995, 4, 4.604), (0.975, 9, 2.262), (0.995, 9, 3.250), (0.95, 30, 1.697), (0.5, 4, 0.0)],
)
def test_students_t(p: float, freedom: float, value: float) -> None:
    assert t_quantile(p, freedom) == pytest.approx(value, abs=1e-3)


def queue_runs(kind: str, runs: int, count: int, draw: np.random.Generator) -> list[np.ndarray]:
    """Independent runs at utilisation 0.8, their first 500 answers left out, sorted."""
    found = []
    for _ in range(runs):
        arrivals = np.cumsum(draw.exponential(1 / UTILISATION, count + 500))
        services = draw.exponential(1, count + 500) if kind == "M/M/1" else 1.0
        found.append(np.sort(sojourn_s(arrivals, services)[500:]))
    return found


@pytest.mark.parametrize("runs", [5, 10])
@pytest.mark.parametrize("count", [2_000, 10_000])
@pytest.mark.parametrize("kind", ["M/M/1", "M/D/1"])
def test_intervals_cover_the_truth_as_often_as_they_say(kind: str, count: int, runs: int) -> None:
    truth = math.log(100) / (1 - UTILISATION) if kind == "M/M/1" else queue_p99_s(UTILISATION)
    draw = np.random.default_rng(count + runs)
    covered = 0
    for _ in range(TRIALS):
        found = percentile_interval(queue_runs(kind, runs, count, draw), 990)
        assert isinstance(found, Interval)
        covered += found.low <= truth <= found.high
    assert covered / TRIALS >= COVERAGE


def test_an_interval_of_a_ratio_covers_it() -> None:
    draw = np.random.default_rng(4)
    covered = 0
    for _ in range(200):
        base = queue_runs("M/D/1", 5, 2_000, draw)
        other = [1.3 * run for run in queue_runs("M/D/1", 5, 2_000, draw)]
        found = ratio_interval(other, base, 990)
        assert isinstance(found, Interval)
        covered += found.low <= 1.3 <= found.high
    assert covered / 200 >= COVERAGE


def test_why_there_is_none() -> None:
    long, short = np.arange(1.0, 2_001), np.arange(1.0, 1_000)
    assert percentile_interval([long] * 4, 990) == "an interval needs 5 runs, had 4"
    assert (
        percentile_interval([long] * 4 + [short], 990)
        == "an interval needs 2,000 answers in each run, had 999: test longer"
    )
    assert ratio_interval([long] * 5, [long] * 2, 990) == "the base: an interval needs 5 runs, had 2"
    assert percentile_interval([np.zeros(3_000)] * 5, 500) == "no interval: a latency of zero"


def test_runs_without_any_spread() -> None:
    found = percentile_interval([np.arange(1.0, 3_001)] * 5, 500)
    assert found == Interval(pytest.approx(1500.0), pytest.approx(1500.0), pytest.approx(1500.0))


@pytest.mark.parametrize("runs", [5, 7, 8, 12, 20])
def test_the_median_of_a_skewed_figure_is_within_its_interval(runs: int) -> None:
    draw = np.random.default_rng(runs)
    held = 0
    for _ in range(2_000):
        interval = median_interval(draw.lognormal(0, 1, runs).tolist())
        assert not isinstance(interval, str)
        assert interval.coverage >= COVERAGE
        held += interval.low <= 1.0 <= interval.high
    assert held / 2_000 == pytest.approx(interval.coverage, abs=0.025)


def test_the_interval_of_five_is_their_range_and_of_four_there_is_none() -> None:
    interval = median_interval([3.0, 1.0, 2.0, 9.0, 4.0])
    assert interval == Interval(3.0, 1.0, 9.0, 0.9375)
    assert median_interval([1.0, 2.0]) == "an interval needs 5 runs, had 2"
