"""What a page costs whoever opens it, in every face; and rows in a browser beside the others."""

from __future__ import annotations

import io

from report_samples import artifact, full, in_browser, report, row
from rich.console import Console

from pipelines.report import html_face
from pipelines.report.browser_lines import BROWSER_COLUMNS, TITLE, browser_lines
from pipelines.report.lines import lines
from pipelines.report.terminal import show
from pipelines.results import IN_BROWSER


def printed(one: object) -> str:
    text = io.StringIO()
    show(one, Console(file=text, width=120))  # type: ignore[arg-type]
    return text.getvalue()


def test_the_times_stand_apart() -> None:
    skipped, measured = browser_lines(lines(in_browser()))
    assert [column.value(skipped) for column in BROWSER_COLUMNS] == [None] * 6
    found = {f"{column.group} {column.title}": column.value(measured) for column in BROWSER_COLUMNS}
    assert found["page Download"] == 14_537_901
    assert (found["page Load"], found["page First run"], found["page Memory"]) == (1.25, 0.16, 20_570_668)
    assert found["single-stream p99"] == 8.0 * 0.7


def test_every_face_shows_them_only_where_there_are_some() -> None:
    for made in (html_face.render(in_browser()), printed(in_browser())):
        assert TITLE in made
        assert "14.5" in made
        assert "apt-get install chromium" in made
    assert 'id="browser"' not in html_face.render(full())
    assert TITLE not in printed(full())


def test_a_row_in_a_browser_has_no_server_and_is_recommended_only_without_one() -> None:
    fast = row("tfjs", "fp32", IN_BROWSER, p99=1.0, server=None)
    artifacts = (artifact("tfjs"), artifact("onnxruntime"))
    assert report(artifacts, (fast, row(p99=9.0))).recommendation.row == "onnxruntime fp32 open-inference-grpc"
    assert report(artifacts, (fast,)).recommendation.row == "tfjs fp32 in-browser"
    assert report(artifacts, (fast,)).protocol_cost == ()
