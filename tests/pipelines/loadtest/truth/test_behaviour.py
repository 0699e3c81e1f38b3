from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.loadtest.truth.behaviour import FAULTS, NS_PER_MS, Order, Timing, parse, true_latencies_ms

times = st.lists(st.integers(0, 3_000), min_size=1, max_size=60).map(lambda ms: np.sort(np.array(ms)) * NS_PER_MS)


def test_orders() -> None:
    assert parse("/echo") == Order()
    assert parse("/echo/2.5") == Order(2_500_000)
    assert parse("/serial/2") == Order(2 * NS_PER_MS, serial=True)
    assert parse("/stall/100/500/5") == Order(5 * NS_PER_MS, stall=(100 * NS_PER_MS, 500 * NS_PER_MS))
    assert parse("/stall-now/30") == Order(stall_now_ns=30 * NS_PER_MS)
    assert parse("/every/10/reset") == Order(fault="reset", every=10)
    assert parse("/ground.Truth/stall_100_500_5") == parse("/stall/100/500/5")
    assert parse("/reversed") == Order(reversed=True)
    assert parse("/size/12") == Order(size=12)
    assert [parse(f"/{fault}").fault for fault in FAULTS] == list(FAULTS)


@pytest.mark.parametrize(
    "path",
    ["/", "/ech", "/echo/-1", "/echo/x", "/echo/nan", "/serial", "/every/0/reset", "/stall/1", "/a.B/ech", "/size/-1"],
)
def test_what_is_no_order(path: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse(path)


@given(times, st.integers(0, 50))
def test_an_echo_takes_its_delay(arrivals: np.ndarray, delay: int) -> None:
    assert np.all(true_latencies_ms(arrivals, f"/echo/{delay}") == delay)


@given(times, st.integers(1, 50))
def test_a_serial_server_is_a_queue(arrivals: np.ndarray, service: int) -> None:
    """Lindley's recursion."""
    waits = [0.0]
    for gap in np.diff(arrivals) / NS_PER_MS:
        waits.append(max(0.0, waits[-1] + service - gap))
    assert true_latencies_ms(arrivals, f"/serial/{service}") == pytest.approx(np.array(waits) + service)


@given(times, st.integers(0, 2_000), st.integers(1, 900), st.integers(0, 50))
def test_nothing_is_begun_or_answered_in_a_stall(arrivals: np.ndarray, after: int, length: int, delay: int) -> None:
    found = true_latencies_ms(arrivals, f"/stall/{after}/{length}/{delay}")
    done = arrivals / NS_PER_MS + found
    begin = arrivals[0] / NS_PER_MS + after
    assert not np.any((done >= begin) & (done < begin + length))
    untouched = (arrivals / NS_PER_MS + delay < begin) | (arrivals / NS_PER_MS >= begin + length)
    assert found[untouched] == pytest.approx(delay)
    inside = (arrivals / NS_PER_MS >= begin) & (arrivals / NS_PER_MS < begin + length)
    assert done[inside & (found < length)] == pytest.approx(begin + length + delay)


def test_the_known_stall() -> None:
    """200 requests/s for 10 s, 5 ms each, one stall of 500 ms: 100 of 2,000 wait, so p99 is at 400 + 5 ms."""
    arrivals = np.arange(2_000) * 5 * NS_PER_MS
    found = np.sort(true_latencies_ms(arrivals, "/stall/4000/500/5"))
    assert found[1979] == pytest.approx(405, abs=5.1)
    assert found[-1] == pytest.approx(505)


def test_a_stall_that_begins_now_answers_at_once() -> None:
    timing = Timing()
    assert timing.due(1_000, parse("/stall-now/1")) == 1_000
    assert timing.due(2_000, parse("/echo")) == 1_000 + NS_PER_MS
