from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.loadtest.statistics.histogram import DIGITS, HIGHEST_NS, counts_of, encode, log_text

hdrh = pytest.importorskip("hdrh.histogram")
values = st.lists(st.integers(0, HIGHEST_NS), max_size=200).map(lambda one: np.array(one, np.int64))


def reference(numbers: np.ndarray):
    histogram = hdrh.HdrHistogram(1, HIGHEST_NS, DIGITS)
    for number in numbers.tolist():
        histogram.record_value(number)
    return histogram


@given(values)
def test_another_implementation_reads_what_it_would_have_recorded(numbers: np.ndarray) -> None:
    found = hdrh.HdrHistogram.decode(base64.b64encode(encode(counts_of(numbers))))
    expected = reference(numbers)
    assert found.get_total_count() == len(numbers)
    for percentile in (0, 25, 50, 90, 99, 99.9, 100):
        assert found.get_value_at_percentile(percentile) == expected.get_value_at_percentile(percentile)


def test_a_count_of_many_is_kept() -> None:
    numbers = np.full(3_000_000, 123_456)
    found = hdrh.HdrHistogram.decode(base64.b64encode(encode(counts_of(numbers))))
    assert found.get_total_count() == 3_000_000


def test_a_log_is_read(tmp_path) -> None:
    from hdrh.log import HistogramLogReader

    numbers = np.random.default_rng(1).exponential(5e6, 10_000).astype(np.int64)
    file = tmp_path / "latency.hlog"
    file.write_text(log_text(numbers, 1_700_000_000.5, 10.0))
    reader = HistogramLogReader(str(file), hdrh.HdrHistogram(1, HIGHEST_NS, DIGITS))
    found = reader.get_next_interval_histogram()
    assert found.get_total_count() == 10_000
    assert found.get_value_at_percentile(99) == pytest.approx(np.percentile(numbers, 99), rel=2e-3)
    assert reader.get_start_time_sec() == 1_700_000_000.5
    reader.close()
