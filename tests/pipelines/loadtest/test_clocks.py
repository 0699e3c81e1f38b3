from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipelines.loadtest.clocks import Offset, offset_of, over

times = st.integers(0, 10**12)
trip = st.tuples(times, st.integers(0, 10**9), st.integers(0, 10**9))


@given(st.integers(-(10**15), 10**15), st.lists(trip, min_size=1, max_size=20))
def test_the_bound_holds_whatever_the_ways_take(ahead: int, trips: list[tuple[int, int, int]]) -> None:
    """Each trip is (when, way there, way back) on this clock; the true offset is within the bound."""
    read = [(sent, sent + there + ahead, sent + there + back) for sent, there, back in trips]
    found = offset_of(read)
    assert abs(found.ahead_ns - ahead) <= found.bound_ns
    assert found.bound_ns == (min(there + back for _, there, back in trips) + 1) // 2


@given(st.integers(-(10**12), 10**12), st.integers(-(10**7), 10**7), st.integers(0, 100), st.integers(0, 10**6))
def test_a_clock_that_drifts(ahead: int, drift: int, percent: int, bound: int) -> None:
    """Anywhere between the two readings, the true offset is within the bound of the middle."""
    found = over(Offset(ahead, bound), Offset(ahead + drift, 0))
    assert abs(found.ahead_ns - (ahead + drift * percent // 100)) <= found.bound_ns + 1
