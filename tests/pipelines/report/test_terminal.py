"""The terminal: at any width every row, figure and reason is there, and nothing steers the terminal."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from typing import Any

import pytest
from report_samples import full, nothing
from rich.console import Console

from pipelines.report import numbers
from pipelines.report.json_face import write
from pipelines.report.lines import columns, lines, troubles
from pipelines.report.terminal import show, tables
from pipelines.results import Report


def printed(report: Report, width: int, **options: object) -> str:
    file = io.StringIO()
    show(report, Console(file=file, width=width, **options))  # type: ignore[arg-type]
    return file.getvalue()


def test_columns_that_say_no_width_are_not_believed(fresh_cli: Any) -> None:
    folder = fresh_cli.workspace / "reports" / "mnist_cnn" / "made-up"
    folder.mkdir(parents=True)
    write(full(), folder / "report.json")
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    words = ["report", "mnist_cnn", "--run", "made-up"]
    usual = fresh_cli(*words, env=environment).stdout
    assert len(usual) > 1000
    for told in ("0", "1", "-3", "many"):
        assert fresh_cli(*words, env={**environment, "COLUMNS": told}).stdout == usual
    assert fresh_cli(*words, env={**environment, "COLUMNS": "200"}).stdout != usual


def squeezed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_no_width_loses_a_row_a_reason_or_the_recommendation(any_report: Report, width: int) -> None:
    text = squeezed(printed(any_report, width))
    for trouble in troubles(any_report):
        assert squeezed(trouble.sentence) in text
        assert squeezed(trouble.log) in text
        assert squeezed(", ".join(trouble.names)) in text
    if width >= 80:  # below that a name may be folded within its cell
        for line in lines(any_report):
            assert squeezed(line.row.way) in text
    assert text.endswith(squeezed(any_report.recommendation.reason))


@pytest.mark.parametrize(("width", "count"), [(80, 3), (120, 2), (200, 1)])
def test_as_few_tables_as_fit_and_no_line_too_long(width: int, count: int) -> None:
    report = full()
    assert len(tables(lines(report), width, columns(report))) == count
    text = printed(report, width)
    assert max(len(line) for line in text.splitlines()) <= width
    for column in columns(report):
        assert column.title in text


def test_figures_stand_in_their_row() -> None:
    found = next(
        line for line in printed(full(), 200).splitlines() if line.startswith("torchserve eager torchserve-rest")
    )
    assert found.split()[3:] == [
        "✓", "ok", "!", "61.0", "!", "24.4", "18.9", "0", "100", "99.12", "7.07", "1,693",
        "21.8", "2.31", "94.0", "103", "32", "100",
    ]  # fmt: skip


def test_an_invalid_load_test_is_explained() -> None:
    text = printed(full(), 120)
    assert "! load test not valid torchserve eager torchserve-rest, server" in text
    assert "sent 61.2 of 100 requests/s: the server cannot keep up" in text


def test_a_row_that_failed_for_its_load_test_says_so_once() -> None:
    why = "sent 61.2 of 100 requests/s: the server cannot keep up"
    report = full()
    rows = tuple(
        replace(one, status="failed", reason=f"server: {why}") if any(not load.valid for load in one.scenarios) else one
        for one in report.rows
    )
    assert printed(replace(report, rows=rows), 200).count(why) == 1


def test_a_pipe_gets_no_colour_and_a_terminal_does(any_report: Report) -> None:
    assert "\x1b" not in printed(any_report, 80)
    assert "\x1b[" in printed(any_report, 80, force_terminal=True, color_system="standard")


def test_foreign_text_brings_no_escape_of_its_own() -> None:
    text = printed(full(), 120, force_terminal=True, color_system=None)
    assert "\x1b" not in text


def test_nothing_at_all() -> None:
    text = printed(nothing(), 80)
    assert "no rows" in text
    assert text.rstrip().endswith("Nothing to ship\nNo row is served.")


def test_it_says_which_program_answered_and_which_path_has_none(any_report: Report) -> None:
    shown = " ".join(printed(any_report, 120).split())
    for row in any_report.rows:
        if row.server:
            assert " ".join(numbers.plain(f"{row.path}: {row.server}").split()) in shown
