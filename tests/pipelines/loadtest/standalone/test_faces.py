"""Saved results and pages of results."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from pipelines.base.errors import UserError
from pipelines.loadtest.generator.live import Glance
from pipelines.loadtest.recording import Outcome, Recorder
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.standalone import compare as compare_module
from pipelines.loadtest.standalone.compare import compare, load_result, save_result
from pipelines.loadtest.standalone.display import Display, describe
from pipelines.loadtest.standalone.repetitions import Result
from pipelines.loadtest.statistics.summary import nothing_measured, summarise
from pipelines.report.load_page import render
from pipelines.results import CurvePoint, Scenario

GLANCE = Glance(1200, 1100, 3, 97, 412.5, 5.25, 40.5, 61.0)


def scenario(name: str = "server", errors: int = 0) -> Scenario:
    """2,000 requests every 5 ms, of 1, 2, 3 ... ms; the first ones fail."""
    recorder: Recorder[bytes] = Recorder(4_000)
    recorder.measure_from(0)
    for number in range(2_000):
        due = number * 5_000_000
        outcome = Outcome.REFUSED if number < errors else Outcome.ANSWERED
        recorder.end(recorder.begin(due, due), outcome, due + (number + 1) * 10_000, "HTTP 503", due + 1, 5)
    return summarise(recorder.finish(0, 10_000_000_000, 0.1, 10), LoadSettings(name, rate_per_s=200))


def test_progress_in_plain_lines(monkeypatch) -> None:
    console = Console(record=True, width=120, force_terminal=False)
    monkeypatch.setattr("pipelines.loadtest.standalone.display.EVERY_S", 0.0)
    with Display("a test", console) as display:
        display.watch(0.5, None)
        display.watch(0.75, GLANCE)
    text = console.export_text()
    assert "50%  warming up" in text
    assert "75%  412/s  p99 40.5 ms  1,100 answered  3 errors  97 in flight" in text
    assert describe(replace(GLANCE, p99_ms=None)).startswith("412/s  p99 –")


def result(whole: Scenario, runs: int = 5) -> Result:
    draw = np.random.default_rng(1)
    latencies = tuple(np.sort(draw.exponential(5, 3_000)) for _ in range(runs))
    return Result(whole, (whole,) * runs, latencies, {}, ("<b>a note</b>",), 1_700_000_000.0)


def test_a_result_survives_its_file_and_can_be_compared(tmp_path) -> None:
    file, found = tmp_path / "saved.json", result(scenario())
    save_result(file, {"url": "x"}, found)
    again = load_result(file)
    assert all(np.allclose(one, other, atol=1e-6) for one, other in zip(again, found.latencies_ms, strict=True))
    ratios = compare(found, again)
    assert ratios["p99_ms"].value == pytest.approx(1.0, abs=1e-4)
    assert compare(result(scenario(), 3), again)["p50_ms"] == "an interval needs 5 runs, had 3"


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"latencies_ns": ["!"]}', '{"latencies_ns": ["eA=="]}', "[" * 10**5]
)
def test_what_is_no_saved_result(tmp_path, content: str) -> None:
    file = tmp_path / "saved.json"
    file.write_text(content)
    with pytest.raises(UserError, match="not a result"):
        load_result(file)


def test_latencies_that_zlib_made_small_have_a_bound(tmp_path, monkeypatch) -> None:
    file = tmp_path / "saved.json"
    zeros = base64.b64encode(zlib.compress(bytes(800))).decode()
    file.write_text(json.dumps({"latencies_ns": [zeros, zeros]}))
    assert [len(run) for run in load_result(file)] == [100, 100]
    monkeypatch.setattr(compare_module, "MAX_BYTES", 1599)
    with pytest.raises(UserError, match="not a result"):
        load_result(file)


def test_a_page() -> None:
    points = (CurvePoint(100.0, 99.0, 1.0, 2.0, True), CurvePoint(200.0, 190.0, 2.0, 30.0, False))
    page = render("http://h:1/<script>", result(replace(scenario(errors=30), curve=points)))
    for plot in ("curve", "tail", "timeline"):
        assert f'id="plot-{plot}"' in page
    assert "<b>a note</b>" not in page
    assert "h:1/<script>" not in page
    assert "Not valid: 30 of 2,000 requests failed" in page
    assert "default-src &#39;none&#39;" in page


def test_a_page_of_nothing() -> None:
    page = render("http://h:1/", result(nothing_measured(LoadSettings("offline"), "the load generator died"), 1))
    assert "the load generator died" in page
    assert 'class="plot"' not in page
