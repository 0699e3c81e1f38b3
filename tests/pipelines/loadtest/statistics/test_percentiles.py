from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.loadtest.statistics.percentiles import most_in_flight, needed, percentiles, rank_of
from pipelines.results import Unclaimable

latencies = st.lists(st.floats(0, 1e6), min_size=1, max_size=700).map(np.array)


@given(latencies, st.integers(1, 1000))
def test_a_percentile_is_the_smallest_value_that_enough_values_do_not_exceed(
    values: np.ndarray, per_mille: int
) -> None:
    ordered = np.sort(values)
    value = ordered[rank_of(per_mille, len(values))]
    assert 1000 * int((values <= value).sum()) >= per_mille * len(values)
    assert 1000 * int((values < value).sum()) < per_mille * len(values)


@given(latencies)
def test_quantiles_are_numpys_order_statistics(values: np.ndarray) -> None:
    found = percentiles(values)
    # Fractions that floating point holds exactly: there, numpy's ranks are exact too.
    for percent in (0, 25, 50, 75, 100):
        assert found.quantiles[percent] == np.percentile(values, percent, method="inverted_cdf")
    assert len(found.quantiles) == 101
    assert list(found.quantiles) == sorted(found.quantiles)
    assert (found.quantiles[0], found.quantiles[100]) == (values.min(), values.max())
    assert found.largest == values.max()
    assert found.mean == pytest.approx(values.mean())


@given(latencies)
def test_claimed_percentiles_are_those_with_enough_samples(values: np.ndarray) -> None:
    found = percentiles(values)
    for name, per_mille, percent in (("p50", 500, 50), ("p90", 900, 90), ("p99", 990, 99)):
        if len(values) >= needed(per_mille):
            assert found.claimed[name] == found.quantiles[percent]
        else:
            assert found.claimed[name] is None
    assert len(found.unclaimable) == list(found.claimed.values()).count(None)


@pytest.mark.parametrize(("per_mille", "count"), [(500, 8), (900, 44), (950, 90), (990, 459), (999, 4603)])
def test_needed_counts(per_mille: int, count: int) -> None:
    assert needed(per_mille) == count


@pytest.mark.parametrize("per_mille", [500, 900])
def test_needed_samples_enclose_the_percentile_at_the_promised_confidence(per_mille: int) -> None:
    """Simulated: uniform samples, whose true percentile is known."""
    count, truth = needed(per_mille), per_mille / 1000
    runs = np.random.default_rng(1).random((40_000, count))
    enclosed = float(((runs.min(axis=1) <= truth) & (runs.max(axis=1) >= truth)).mean())
    assert enclosed > 0.99 - 0.002
    fewer = runs[:, : count - 1]
    assert float(((fewer.min(axis=1) <= truth) & (fewer.max(axis=1) >= truth)).mean()) < enclosed


def test_what_is_said_of_a_percentile_that_cannot_be_claimed() -> None:
    found = percentiles(np.arange(212.0))
    assert found.claimed["p90"] == 190.0
    assert found.claimed["p99"] is None
    assert found.unclaimable == (Unclaimable("p99", samples=212, needed=459),)


def test_nothing_is_claimed_of_nothing() -> None:
    found = percentiles(np.empty(0))
    assert set(found.claimed.values()) == {None}
    assert (found.mean, found.largest, found.quantiles) == (None, None, ())
    assert len(found.unclaimable) == 3


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=40))
def test_most_in_flight_equals_a_count_at_each_moment(spans: list[tuple[int, int]]) -> None:
    sent = np.array([start for start, _ in spans], np.int64)
    done = np.array([start + length for start, length in spans], np.int64)
    truth = max((int(((sent <= t) & (done > t)).sum()) for t in range(80)), default=0)
    assert most_in_flight(sent, done) == truth
