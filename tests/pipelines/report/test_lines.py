"""How a missing percentile is excused."""

from __future__ import annotations

import pytest
from report_samples import scenario

from pipelines.report.lines import unclaimable


@pytest.mark.parametrize(
    ("name", "rounds", "why"),
    [
        ("server", 1, "p99 needs 459 answers, had 212: test longer"),
        ("server", 5, "p99 needs 459 answers, had 212 in a round: test longer"),
        ("multi-stream", 1, "p99 needs 459 queries, had 212: test longer"),
    ],
)
def test_why_a_percentile_is_missing(name: str, rounds: int, why: str) -> None:
    assert unclaimable(scenario(name, None, rounds=rounds)) == {"p99": why}


def test_a_percentile_that_is_there_has_no_excuse() -> None:
    assert unclaimable(scenario()) == {}
