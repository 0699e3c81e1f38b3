from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.base.errors import UserError
from pipelines.loadtest.plan.schedule import NS_PER_S, poisson_arrivals, schedule_of, uniform_arrivals
from pipelines.loadtest.plan.trace import read_trace
from pipelines.loadtest.settings import LoadSettings

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


@given(st.floats(0.1, 5_000), st.floats(0.01, 3))
def test_uniform_arrivals_are_equally_far_apart(rate: float, seconds: float) -> None:
    found = uniform_arrivals(rate, seconds)
    assert found[0] == 0
    assert found[-1] < seconds * NS_PER_S
    assert abs(len(found) - rate * seconds) <= 1
    assert np.all(np.abs(np.diff(found) - NS_PER_S / rate) <= 1)


@given(rates, st.integers(1, 2_000), st.floats(0, 1), seeds)
def test_a_test_of_some_requests_ends_with_the_last(rate: float, count: int, warmup: float, seed: int) -> None:
    settings = LoadSettings("server", 3600.0, warmup, rate_per_s=rate, requests=count, seed=seed)
    found = schedule_of(settings)
    assert len(found.offsets_ns) - found.first == count or found.end_ns == int((3600 + warmup) * NS_PER_S)
    assert np.all(found.offsets_ns[: found.first] < int(warmup * NS_PER_S))
    assert found.offsets_ns[-1] < found.end_ns


def test_a_trace_is_replayed(tmp_path: Path) -> None:
    file = tmp_path / "trace.txt"
    file.write_text("# seconds\n\n10\n10.5\n 10.5\n12e0\n")
    trace = read_trace(file)
    assert trace.tolist() == [0, 500_000_000, 500_000_000, 2_000_000_000]
    settings = LoadSettings("server", 1.4, 0.5, arrivals="trace", trace=str(file))
    found = schedule_of(settings, trace)
    assert (found.offsets_ns.tolist(), found.first, found.end_ns) == (trace.tolist()[:3], 1, 1_900_000_000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no arrival"),
        ("1\n0.5", "line 2 of"),
        ("1\nnan", "line 2 of"),
        ("soon", "line 1 of .* Received: 'soon'"),
        ("0\n4000", "longer than 3600 s"),
        (b"\xff\xfe", "not a text"),
    ],
)
def test_what_is_no_trace(tmp_path: Path, content: str | bytes, message: str) -> None:
    file = tmp_path / "trace.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message) as caught:
        read_trace(file)
    assert "\n" not in str(caught.value)


def test_no_trace_at_all(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read the trace.*No such file"):
        read_trace(tmp_path / "none")
