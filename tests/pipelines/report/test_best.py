"""Rows that stand for many, in the table and in the plots."""

from __future__ import annotations

import re

from report_samples import artifact, full, many, ninety, report, row

from pipelines.report import html_face
from pipelines.report.best import MANY, artifact_of, best, leaders, path_of
from pipelines.report.figures import figures
from pipelines.report.lines import lines


def test_the_row_to_ship_stands_for_its_path_and_for_its_artifact() -> None:
    artifacts = (artifact("a", "fp32"), artifact("a", "int8"), artifact("b", "fp32"))
    rows = (
        *(row("a", "fp32", "rest", p99=9.0), row("a", "fp32", "grpc", p99=5.0)),
        *(row("a", "int8", "rest", p99=3.0), row("a", "int8", "grpc", p99=1.0)),
        row("b", "fp32", "rest", status="failed", reason="it died", scenarios=()),
    )
    found = lines(report(artifacts, rows))
    assert [line.name for line in best(found, path_of)] == ["a int8 grpc", "b fp32 rest"]
    assert [line.name for line in best(found, artifact_of)] == ["a fp32 grpc", "a int8 grpc", "b fp32 rest"]


def test_a_long_report_begins_with_one_row_for_each_path() -> None:
    def leads(page: str) -> int:
        table = page.partition('id="rows"')[2].partition("</table>")[0]
        return len(re.findall(r"<tr[^>]* data-lead", table))

    page = html_face.render(many(MANY + 1))
    assert leads(page) == MANY + 1
    assert 'name="lead" checked' in page
    short = html_face.render(full())
    assert 'name="lead" checked' not in short
    assert leads(short) == len({line.row.path for line in lines(full())})


def test_the_path_to_ship_is_on_top_of_the_table() -> None:
    made = full()
    table = html_face.render(made).partition('id="rows"')[2]
    first = re.search(r'data-path="([^"]+)"', table)
    assert first is not None
    assert (made.recommendation.row or "").startswith(f"{first[1]} ")


def test_the_axis_of_a_long_plot_is_on_top() -> None:
    sides = {len(lines(made)): {one.layout["xaxis"].get("side") for one in figures(lines(made)) if one.id == "parity"}
             for made in (many(5), many(15))}  # fmt: skip
    assert sides == {10: {"bottom"}, 30: {"top"}}


def test_the_winner_leads_and_the_runner_up_would_without_it() -> None:
    made = ninety()
    found = lines(made)
    winner = next(line for line in found if line.name == made.recommendation.row)
    first, second = leaders(found, winner)
    assert first is winner
    assert f"Runner-up: {second.name}," in made.recommendation.reason
    assert leaders([winner], winner) == [winner]
    assert leaders(found, None) == leaders(found[:9], winner) == found[:2]
    assert leaders([], None) == []


def test_the_winner_is_on_top_and_each_path_follows_its_best_row() -> None:
    made = ninety()
    table = html_face.render(made).partition('id="rows"')[2].partition("</table>")[0]
    rows = re.findall(r'<tr([^>]*)data-path="([^"]*)"( data-lead)?>\s*<th[^>]*data-v="([^"]*)"', table)
    assert len(rows) == 90
    assert rows[0][3] == made.recommendation.row
    assert "winner" in rows[0][0]
    paths = [path for _, path, _, _ in rows]
    assert [bool(lead) for _, _, lead, _ in rows] == [at == 0 or paths[at - 1] != path for at, path in enumerate(paths)]
    assert len(set(paths)) == sum(bool(lead) for _, _, lead, _ in rows) == 15
