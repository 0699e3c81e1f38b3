"""Rounds become one row: medians of what is valid, sums of what is counted, and nothing that failed is hidden."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.fairness.rounds import changed, combine
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.statistics.summary import nothing_measured
from pipelines.results import Cause, CurvePoint, Row, Scenario, Unclaimable

EMPTY = nothing_measured(LoadSettings("server", rate_per_s=1), "-")


def load(p99: float | None, **changes: Any) -> Scenario:
    """A valid load test with other values, which are named as in ``changed``."""
    p50_ms = (p99 or 1) / 2
    valid = {"valid": True, "invalid_because": None, "invalid_causes": (), "answers_checked": 10, "match_share": 1.0}
    latency = {
        "latency.p50_ms": p50_ms,
        "latency.p99_ms": p99,
        "latency.quantiles_ms": (p99 or 1.0,),
        "latency.unclaimable": (),
    }
    return changed(EMPTY, {**valid, **latency, "load.requests": 500, "load.samples_per_s": 100.0, **changes})


def row(*loads: Scenario, **changes: Any) -> Row:
    found = Row.at("a", "fp32", "rest", "ok", None, cold_start_s=1.0, peak_memory_bytes=100, scenarios=loads)
    return replace(found, **changes)


def test_one_round_is_the_row_itself() -> None:
    only = row(load(3.0))
    assert combine([only]) is only


def test_figures_are_medians_counts_are_sums_and_pictures_the_middle_round() -> None:
    rounds = [row(load(p99), cold_start_s=cold) for p99, cold in ((9.0, 3.0), (3.0, 1.0), (4.0, 2.0))]
    found = combine(rounds)
    (one,) = found.scenarios
    assert (one.latency.p99_ms, one.load.requests, one.answers_checked, one.rounds) == (4.0, 1500, 30, 3)
    assert one.latency.quantiles_ms == (4.0,)
    assert (found.cold_start_s, found.peak_memory_bytes, found.rounds) == (2.0, 100, 3)
    spread = next(each for each in one.spreads if each.figure == "latency.p99_ms")
    assert (spread.low, spread.high, spread.coverage, spread.values) == (3.0, 9.0, None, (9.0, 3.0, 4.0))


def test_from_five_rounds_on_the_spread_is_an_interval_of_the_median() -> None:
    found = combine([row(load(float(p99))) for p99 in range(1, 10)])
    spread = next(each for each in found.scenarios[0].spreads if each.figure == "latency.p99_ms")
    assert (spread.low, spread.high) == (2.0, 8.0)
    assert spread.coverage == pytest.approx(1 - 2 * (1 + 9) / 512)


@given(st.lists(st.floats(0.01, 1e4), min_size=2, max_size=9))
def test_the_median_is_within_the_spread(values: list[float]) -> None:
    found = combine([row(load(value)) for value in values])
    spread = next(each for each in found.scenarios[0].spreads if each.figure == "latency.p99_ms")
    assert found.scenarios[0].latency.p99_ms is not None
    assert spread.low <= found.scenarios[0].latency.p99_ms <= spread.high


def test_a_round_that_the_machine_spoilt_is_left_out() -> None:
    spoilt = load(900.0, valid=False, invalid_because="sent late", invalid_causes=(Cause.MACHINE,))
    found = combine([row(load(3.0)), row(spoilt), row(load(4.0))])
    (one,) = found.scenarios
    assert (one.valid, one.latency.p99_ms, one.rounds, one.invalid_causes) == (True, 3.5, 2, ())
    (two,) = combine([row(load(3.0)), row(spoilt)]).scenarios
    assert (two.valid, two.invalid_because) == (False, "round 2: sent late")
    assert two.invalid_causes == (Cause.MACHINE,)


def test_a_figure_that_most_rounds_cannot_claim_is_not_claimed() -> None:
    (one,) = combine([row(load(3.0)), row(load(None)), row(load(None))]).scenarios
    assert one.latency.p99_ms is None


def test_a_failed_round_fails_the_row_and_keeps_the_figures() -> None:
    found = combine([row(load(3.0)), row(status="failed", reason="it died")])
    assert (found.status, found.reason) == ("failed", "round 2 of 2: it died")
    assert found.scenarios[0].latency.p99_ms == 3.0


def test_where_every_round_failed_their_figures_are_kept() -> None:
    died = row(load(3.0), status="failed", reason="it died")
    found = combine([died, row(status="failed", reason="it did not start"), died])
    assert (found.status, found.reason) == ("failed", "round 1 of 3: it died")
    assert found.scenarios[0].latency.p99_ms == 3.0


def test_a_round_has_its_own_number_whatever_became_of_the_others() -> None:
    skipped, failed = row(status="skipped", reason="no engine"), row(status="failed", reason="it died")
    assert combine([row(load(3.0)), skipped, failed]).reason == "round 3 of 3: it died"


def test_what_is_claimed_has_no_excuse_and_what_is_not_has_one() -> None:
    why = (Unclaimable("p99", 212, 459), Unclaimable("p90", 9, 44))
    # The round in the middle, of which the pictures are, is the one that claims nothing.
    few = load(None, **{"latency.p50_ms": 2.0, "latency.unclaimable": why})
    sure = [row(load(p99, **{"latency.p90_ms": p99 - 1})) for p99 in (3.0, 9.0)]
    (one,) = combine([sure[0], row(few), sure[1]]).scenarios
    assert (one.latency.p99_ms, one.latency.p90_ms, one.latency.unclaimable) == (6.0, 5.0, ())
    (one,) = combine([row(load(3.0)), row(few), row(few)]).scenarios
    assert (one.latency.p99_ms, one.latency.unclaimable) == (None, why)


def test_the_probe_is_of_all_rounds() -> None:
    probes = [load(3.0, **{"server.cores": cores}) for cores in (0.7, 0.95, 0.9)]
    found = combine([row(load(3.0), threads_probe=probe) for probe in probes])
    assert found.threads_probe is not None
    assert (found.threads_probe.server.cores, found.threads_probe.rounds) == (0.9, 3)


def test_of_many_breaches_the_rest_is_counted() -> None:
    found = combine([row(load(3.0), breaches=(f"{number} cores",)) for number in range(12)])
    assert found.breaches == (*(f"{number} cores" for number in range(5)), "and 7 more")


def test_one_wrong_answer_in_any_round_shows() -> None:
    (one,) = combine([row(load(3.0)), row(load(3.0, match_share=0.9))]).scenarios
    assert one.match_share == pytest.approx(0.95)


def test_a_round_that_was_cut_off_counts_only_alone() -> None:
    cut = row(load(3.0), status="skipped", reason="interrupted")
    assert combine([row(load(5.0)), cut]).scenarios[0].latency.p99_ms == 5.0
    assert combine([cut]) is cut


def test_breaches_and_the_curve_of_any_round_are_kept() -> None:
    curve = (CurvePoint(1.0, 1.0, 1.0, None),)
    found = combine([row(load(3.0), breaches=("x",)), row(load(9.0, curve=curve), breaches=("x", "y"))])
    assert found.breaches == ("x", "y")
    assert found.scenarios[0].curve == curve
