"""Made-up series of stolen time: what is cut, and what is left."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.loadtest.statistics.stolen import Tick, stolen

MS = 1_000_000
STEP_NS = 100 * MS


def series(*taken: int, step: int = 20) -> list[Tick]:
    """A reading every 100 ms: ``step`` ticks of two processors, of which so many were stolen."""
    ticks, all_, gone = [(0, 1000, 50)], 1000, 50
    for number, one in enumerate(taken, 1):
        all_, gone = all_ + step, gone + one
        ticks.append((number * STEP_NS, all_, gone))
    return ticks


def test_without_readings_nothing_is_known() -> None:
    for ticks in ([], series(), [(0, 5, 0), (STEP_NS, 5, 0)]):
        found = stolen(ticks, 0, 10 * STEP_NS)
        assert (found.share, found.share_left, found.cut_share) == (None, None, 0.0)


def test_a_quiet_machine_is_left_alone() -> None:
    found = stolen(series(*[0, 1, 2] * 4), 0, 12 * STEP_NS)
    assert found.share == pytest.approx(12 / 240)
    assert (len(found.cut_ns), found.cut_share, found.share_left) == (0, 0.0, found.share)


def test_a_stolen_moment_is_cut_and_the_rest_is_quiet() -> None:
    found = stolen(series(0, 0, 0, 12, 0, 0, 0, 0, 3, 0), 0, 10 * STEP_NS)
    assert found.cut_ns.tolist() == [[3 * STEP_NS, 4 * STEP_NS], [8 * STEP_NS, 9 * STEP_NS]]
    assert found.cut_share == pytest.approx(0.2)
    assert found.share == pytest.approx(15 / 200)
    assert found.share_left == 0.0


def test_where_too_much_was_stolen_nothing_is_cut() -> None:
    found = stolen(series(*[12, 0, 0] * 4), 0, 12 * STEP_NS)  # a third of the time
    assert (len(found.cut_ns), found.cut_share) == (0, 0.0)
    assert found.share_left == found.share == pytest.approx(48 / 240)


def test_only_the_measured_part_counts() -> None:
    found = stolen(series(20, 20, 0, 0, 0, 0, 0, 0, 20, 20), 2 * STEP_NS, 8 * STEP_NS)
    assert (found.share, found.cut_share) == (0.0, 0.0)
    half = stolen(series(20, 0, 0, 0, 0, 0), STEP_NS // 2, 6 * STEP_NS)
    assert half.cut_ns.tolist() == [[STEP_NS // 2, STEP_NS]]
    assert half.cut_share == pytest.approx(0.5 / 5.5)


def test_a_request_that_was_under_way_in_a_cut_is_touched() -> None:
    found = stolen(series(0, 0, 0, 12, 0, 0, 0, 0, 0, 0), 0, 10 * STEP_NS)
    begin = np.array([0, 250, 299, 300, 350, 399, 400, 450]) * MS
    end = np.array([10, 310, 300, 301, 500, 460, 401, 900]) * MS
    assert found.touches(begin, end).tolist() == [False, True, False, True, True, True, False, False]
