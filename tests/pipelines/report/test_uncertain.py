"""Which rows of a run deserve another round."""

from __future__ import annotations

from dataclasses import replace

from report_samples import artifact, row, scattered, scenario

from pipelines.report.recommend import contenders
from pipelines.report.uncertain import ENOUGH, most_uncertain
from pipelines.results import IN_PROCESS, ArtifactRow, Row, Spread


def artifacts(rows: list[Row]) -> list[ArtifactRow]:
    return [artifact(name) for name in dict.fromkeys(one.path for one in rows)]


def ranked(rows: list[Row], **turns: int) -> list[str]:
    """The paths in their rank; a path is measured in as many rounds as its row says, if ``turns`` does not."""
    counts = {(one.path, one.variant, one.way): turns.get(one.path, one.rounds) for one in rows}
    return [one.path for one in most_uncertain(artifacts(rows), rows, counts)]


def wide(one: Row, low: float, high: float) -> Row:
    """The row of five rounds, with this range of its p99 in ``server``."""
    spread = Spread("latency.p99_ms", low, high, 0.9375, (low, high))
    loads = [replace(load, rounds=5, spreads=(spread,) if load.name == "server" else ()) for load in one.scenarios]
    return replace(one, scenarios=tuple(loads), rounds=5)


def test_after_one_round_those_near_the_winner_come_first() -> None:
    assert ranked([row("far", p99=20.0), row("near", p99=8.5), row("best", p99=8.0)]) == ["near", "best", "far"]


def test_of_equal_rows_the_order_stays() -> None:
    rows = [row(name, p99=8.0) for name in "abc"]
    assert ranked(rows) == ["a", "b", "c"]
    assert ranked(rows[::-1]) == ["c", "b", "a"]


def test_the_widest_comes_first_of_those_whose_ranges_overlap() -> None:
    best, broad, far = (
        wide(row("best", p99=8.0), 7.9, 8.1),
        wide(row("broad", p99=12.0), 7.9, 16.0),
        row("far", p99=13.0),
    )
    assert ranked([best, far, broad]) == ["broad", "best", "far"]
    apart = wide(row("broad", p99=12.0), 8.9, 16.0)
    assert ranked([best, apart]) == ["best", "broad"]  # it cannot win, however wide it is


def test_a_row_that_had_many_turns_waits_for_the_others() -> None:
    rows = [wide(row("one", p99=8.0), 7.0, 9.0), wide(row("other", p99=8.0), 7.1, 8.9)]
    assert ranked(rows) == ["one", "other"]
    assert ranked(rows, one=7) == ["other", "one"]


def test_a_row_with_one_round_is_as_wide_as_its_figure() -> None:
    assert ranked([wide(row("known", p99=8.0), 7.0, 9.0), row("once", p99=8.0)]) == ["once", "known"]


def test_enough_is_enough() -> None:
    rows = [row("best", p99=8.0), row("far", p99=20.0)]
    assert ranked(rows, best=ENOUGH) == ["far"]
    assert ranked(rows, best=ENOUGH, far=ENOUGH) == []


def test_rows_without_sound_figures_are_left_out() -> None:
    failed = Row.at("failed", "fp32", "rest", "failed", "it died")
    doubtful = replace(row("doubtful"), scenarios=(scenario("server", 5.0, valid=False, invalid_because="too short"),))
    assert ranked([failed, doubtful, row("best")]) == ["best"]
    assert ranked([]) == []


def test_rows_in_process_decide_only_if_none_is_served() -> None:
    served, alone = row("served", p99=8.0), row("alone", "fp32", IN_PROCESS, 2.0)
    assert ranked([alone, served]) == ["served", "alone"]
    near, figure = contenders(artifacts([alone]), [alone])
    assert ([line.row.path for line in near], figure) == (["alone"], ("server", "latency.p99_ms"))


def test_without_latencies_throughput_decides() -> None:
    rows = [
        scattered(replace(row(name), scenarios=(scenario("offline", **{"load.samples_per_s": rate}),)))
        for name, rate in (("slow", 100.0), ("quick", 900.0))
    ]
    near, figure = contenders(artifacts(rows), rows)
    assert ([line.row.path for line in near], figure) == (["quick"], ("offline", "load.samples_per_s"))
    assert ranked(rows) == ["quick", "slow"]
