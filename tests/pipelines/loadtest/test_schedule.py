from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.loadtest.schedule import NS_PER_S, poisson_arrivals

rates = st.floats(0.01, 5_000)
lengths = st.floats(0.01, 5)
seeds = st.integers(0, 2**63 - 1)


@given(rates, lengths, seeds)
def test_arrivals_are_ascending_within_the_time_and_the_same_for_a_seed(rate: float, seconds: float, seed: int) -> None:
    arrivals = poisson_arrivals(rate, seconds, seed)
    assert arrivals.dtype == np.int64
    assert np.all(np.diff(arrivals) >= 0)
    assert np.all((arrivals >= 0) & (arrivals < seconds * NS_PER_S))
    assert np.array_equal(arrivals, poisson_arrivals(rate, seconds, seed))


@given(rates, lengths, lengths, seeds)
def test_a_longer_schedule_begins_with_the_shorter(rate: float, one: float, other: float, seed: int) -> None:
    short, long = sorted([one, other])
    begin = poisson_arrivals(rate, short, seed)
    assert np.array_equal(poisson_arrivals(rate, long, seed)[: len(begin)], begin)


@given(st.floats(0.5, 2_000), seeds)
def test_the_number_of_arrivals_is_poisson(rate: float, seed: int) -> None:
    seconds = 2_000 / rate
    assert abs(len(poisson_arrivals(rate, seconds, seed)) - 2_000) < 6.5 * np.sqrt(2_000)


def test_gaps_are_exponential_and_independent() -> None:
    gaps = np.diff(poisson_arrivals(1_000, 200, seed=3)) / 1e6  # mean 1 ms
    assert len(gaps) > 190_000
    assert gaps.mean() == pytest.approx(1, rel=0.02)
    assert gaps.std() == pytest.approx(1, rel=0.02)
    for quantile in (0.1, 0.5, 0.9, 0.99):
        assert np.quantile(gaps, quantile) == pytest.approx(-np.log(1 - quantile), rel=0.03)
    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 0.01


def test_seeds_differ() -> None:
    assert not np.array_equal(poisson_arrivals(100, 1, 1)[:20], poisson_arrivals(100, 1, 2)[:20])


def test_a_schedule_that_outgrows_its_first_block_reaches_the_end() -> None:
    """A mean of 0.04 arrivals, over seeds: every schedule must cover its time, with or without arrivals."""
    counts = [len(poisson_arrivals(0.02, 2, seed)) for seed in range(2_000)]
    assert np.mean(counts) == pytest.approx(0.04, abs=0.02)
