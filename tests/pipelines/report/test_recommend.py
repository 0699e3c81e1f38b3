"""The recommended row, and the text about it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report_samples import artifact, certificate, full, row, scattered, scenario

from pipelines.fairness.rounds import changed
from pipelines.report.recommend import recommend
from pipelines.results import IN_PROCESS, Row


def with_load(one: Row, **changes: object) -> Row:
    return replace(one, scenarios=tuple(changed(load, changes) for load in one.scenarios))


A = artifact("a", "fp32", 5_000_000)
B = artifact("b", "fp32", 9_000_000)


def test_the_lowest_p99_wins_and_the_runner_up_is_named() -> None:
    said = recommend((A, B), (row("a", p99=8.0), row("b", p99=6.0)))
    assert said.row == "b fp32 open-inference-grpc"
    assert said.reason.startswith("Lowest p99 of the server scenario at 100 requests/s: p99 6.00 ms")
    assert "Runner-up: a fp32 open-inference-grpc, p99 8.00 ms" in said.reason
    assert "a smaller artifact (5.00 MB instead of 9.00 MB)" in said.reason


def test_what_speaks_for_the_runner_up() -> None:
    fast = row("b", p99=6.0)
    lean = row("a", p99=8.0, peak_memory_bytes=100_000_000, cold_start_s=0.5)
    said = recommend((A, B), (lean, fast)).reason
    assert "less memory (100 MB instead of 310 MB)" in said
    assert "a faster cold start (0.500 s instead of 2.40 s)" in said


def test_a_tie_is_broken_by_throughput() -> None:
    slow = row("a", p99=8.0)
    fast = replace(
        row("b", p99=8.5), scenarios=(scenario("offline", **{"load.samples_per_s": 5000.0}), scenario("server", 8.5))
    )
    said = recommend((A, B), (slow, fast))
    assert said.row == "b fp32 open-inference-grpc"
    assert "Within 10 % of the lowest p99" in said.reason
    assert "highest throughput" in said.reason
    assert "a lower p99, though within 10 %" in said.reason


def test_a_tie_of_throughput_too_is_broken_by_size() -> None:
    said = recommend((B, A), (row("b", p99=8.0), row("a", p99=8.1)))
    assert said.row == "a fp32 open-inference-grpc"
    assert "the smallest artifact of 2" in said.reason


def test_just_outside_the_tie_throughput_does_not_count() -> None:
    quick = row("a", p99=8.0)
    strong = replace(
        row("b", p99=8.9), scenarios=(scenario("offline", **{"load.samples_per_s": 9e9}), scenario("server", 8.9))
    )
    assert recommend((A, B), (quick, strong)).row == "a fp32 open-inference-grpc"


def test_like_is_compared_with_like_where_one_cannot_claim_its_p99() -> None:
    certain = row("a", p99=9.0)
    quick = scenario("server", None, **{"latency.p90_ms": 3.0, "latency.p50_ms": 2.0})
    few = row("b", p99=None, scenarios=(quick, scenario("offline", 9.0)))
    said = recommend((A, B), (certain, few))
    assert said.row == "b fp32 open-inference-grpc"
    assert said.reason.startswith("Lowest p90 of the server scenario")


def test_without_the_server_scenario_the_lone_client_decides() -> None:
    rows = tuple(row(name, scenarios=(scenario("single-stream", p99),)) for name, p99 in (("a", 4.0), ("b", 9.0)))
    said = recommend((A, B), rows)
    assert said.row == "a fp32 open-inference-grpc"
    assert said.reason.startswith("Lowest p99 of the single-stream scenario: ")


def test_without_any_latency_throughput_decides() -> None:
    none = {"latency.p50_ms": None, "latency.p90_ms": None}
    rows = tuple(
        row(n, scenarios=(scenario("offline", None, **none, **{"load.samples_per_s": s}),))
        for n, s in (("a", 10.0), ("b", 99.0))
    )
    said = recommend((A, B), rows)
    assert said.row == "b fp32 open-inference-grpc"
    assert said.reason.startswith("No latency to compare, with the highest throughput: 99.0 samples/s offline")


GOOD = row("a", p99=20.0)
UNFIT = {
    "a failed row": (B, replace(row("b", p99=1.0), status="failed", reason="died")),
    "a skipped row": (B, replace(row("b", p99=1.0), status="skipped", reason="missing")),
    "a failed artifact": (replace(B, status="failed"), row("b", p99=1.0)),
    "a failed parity": (replace(B, certificate=certificate(passed=False)), row("b", p99=1.0)),
    "no certificate": (replace(B, certificate=None), row("b", p99=1.0)),
    "no artifact": (artifact("other"), row("b", p99=1.0)),
    "an invalid load test": (B, with_load(row("b", p99=1.0), valid=False, invalid_because="late")),
    "no load test": (B, row("b", scenarios=())),
    "a different answer": (B, with_load(row("b", p99=1.0), match_share=0.99)),
    "more threads than allowed": (B, replace(row("b", p99=1.0), breaches=("single-stream: 1.9 cores busy",))),
    "unchecked answers": (B, with_load(row("b", p99=1.0), answers_checked=0, match_share=None)),
    "in process": (B, row("b", protocol=IN_PROCESS, p99=1.0)),
}


@pytest.mark.parametrize("case", UNFIT)
def test_an_unfit_row_never_wins_however_fast(case: str) -> None:
    proof, fast = UNFIT[case]
    said = recommend((A, proof), (fast, GOOD))
    assert said.row == "a fp32 open-inference-grpc"
    assert said.reason.startswith("The only fit row")
    assert "Runner-up" not in said.reason


@pytest.mark.parametrize("case", [name for name in UNFIT if name != "in process"])
def test_where_nothing_is_fit_the_reason_says_what_is_wrong(case: str) -> None:
    proof, one = UNFIT[case]
    said = recommend((proof,), (one,))
    assert said.row is None
    assert said.reason.startswith("No served row is fit to ship: 1 ")


def test_in_process_is_recommended_only_where_no_served_row_is_fit() -> None:
    broken = replace(row("b", p99=1.0), status="failed", reason="died")
    said = recommend((A, B), (broken, row("a", protocol=IN_PROCESS, p99=3.0)))
    assert said.row == "a fp32 in-process"
    assert said.reason.startswith("No served row is fit to ship: 1 failed. The only fit row")
    # Nothing goes over a wire in process, so there is nothing to check either.
    bare = with_load(row("a", protocol=IN_PROCESS), answers_checked=0, match_share=None)
    assert recommend((A,), (bare,)).row == "a fp32 in-process"


def test_no_rows_at_all() -> None:
    assert recommend((), ()) == recommend((A,), ())
    assert recommend((), ()).row is None
    assert (
        recommend((), ()).reason
        == "No served row is fit to ship: no row was measured. No row without a server either: no row was measured."
    )


def test_the_cost_of_accuracy_is_mentioned_with_the_best_row_that_costs_none() -> None:
    small = artifact("a", "int8", 4_000_000, certificate=certificate(0.1, 0.997, 0.9812))
    other = artifact("c", "int8", 4_000_000, certificate=certificate(0.1, 0.997, 0.9822))
    rows = (row("a", "int8", p99=3.0), row("c", "int8", p99=5.0), row("b", p99=9.0))
    said = recommend((small, other, B), rows).reason
    assert "int8 costs 1.0 points of accuracy (98.12 % instead of the reference's 99.12 %)" in said
    assert "the best row that costs none is b fp32 open-inference-grpc, p99 9.00 ms" in said
    assert "higher accuracy (98.22 % instead of 98.12 %)" in said
    assert recommend((small, B), (rows[0], rows[2])).reason.endswith("the runner-up costs none.")
    assert "Mind" not in recommend((A, B), (row("a"), row("b", p99=1.0))).reason


def test_without_labels_the_changed_classes_are_mentioned() -> None:
    small = artifact("a", "int8", 4_000_000, certificate=certificate(0.1, 0.973, None))
    said = recommend((small,), (row("a", "int8", p99=3.0),)).reason
    assert said.endswith("Note that int8 changes the first class of 2.70 % of the rows.")
    same = replace(small, certificate=certificate(0.1, 1.0, None))
    assert "Note that" not in recommend((same,), (row("a", "int8", p99=3.0),)).reason


def test_a_median_within_the_range_of_the_best_is_a_tie() -> None:
    # 8.0 scatters from 7.2 to 9.6, and 8.85 is within it: more than 10 % apart, and either may win the next run.
    slim, strong = scattered(row("a", p99=8.85)), scattered(row("b", p99=8.0))
    said = recommend((A, B), (slim, strong))
    assert said.row == "a fp32 open-inference-grpc"
    assert said.reason.startswith("Within noise of the lowest p99")
    assert "By p99 of 5 rounds, it is within noise of b fp32 open-inference-grpc" in said.reason


def test_a_row_does_not_win_by_its_own_scatter() -> None:
    wide = scattered(row("a", p99=40.0))
    low = tuple(replace(one, spreads=tuple(replace(s, low=s.low / 9) for s in one.spreads)) for one in wide.scenarios)
    steady, wide = scattered(row("b", p99=8.0)), replace(wide, scenarios=low)
    # a's best round is better than b's median, its median five times as high, its artifact smaller.
    said = recommend((A, B), (wide, steady))
    assert said.row == "b fp32 open-inference-grpc"
    assert said.reason.startswith("Lowest p99")
    assert "it is within noise of a fp32 open-inference-grpc" in said.reason


def test_a_leader_that_scatters_widely_is_a_tie_with_all_below_its_range() -> None:
    wide, strong = scattered(row("b", p99=8.0)), scattered(with_load(row("a", p99=14.0), **{"load.samples_per_s": 9e4}))
    high = [replace(one, spreads=tuple(replace(s, high=s.high * 4) for s in one.spreads)) for one in wide.scenarios]
    said = recommend((A, B), (strong, replace(wide, scenarios=tuple(high))))
    assert said.row == "a fp32 open-inference-grpc"
    assert said.reason.startswith("Within noise of the lowest p99 of the server scenario")


def test_ranges_that_do_not_overlap_decide() -> None:
    said = recommend((A, B), (scattered(row("a", p99=9.0)), scattered(row("b", p99=4.0))))
    assert said.row == "b fp32 open-inference-grpc"
    assert "No other row is within noise of it, by p99 of 5 rounds." in said.reason


def test_one_round_says_that_its_scatter_is_not_known() -> None:
    said = recommend((A, B), (row("a", p99=9.0), row("b", p99=4.0))).reason
    assert "Measured in one round, so the noise of these figures is unknown" in said
    assert "Measured in one round" not in recommend((A,), (row("a"),)).reason


def test_many_rivals_are_counted() -> None:
    artifacts = tuple(artifact(name, "fp32") for name in "abcdefgh")
    said = recommend(artifacts, tuple(scattered(row(name, p99=8.0)) for name in "abcdefgh")).reason
    assert "and 4 more: ranges overlap" in said


def test_the_order_of_rows_does_not_matter() -> None:
    report = full()
    assert recommend(report.artifacts[::-1], report.rows[::-1]) == report.recommendation
    assert report.recommendation.row


def test_what_has_become_of_the_winners_technology_is_said() -> None:
    old = artifact("a", lifecycle="archived since August 2025 (pytorch/serve#3396)")
    said = recommend((old, B), (row("a", p99=1.0), row("b", p99=9.0)))
    assert said.reason.endswith("Note that a fp32 is archived since August 2025 (pytorch/serve#3396).")
    assert "Note" not in recommend((old, B), (row("a", p99=9.0), row("b", p99=1.0))).reason
