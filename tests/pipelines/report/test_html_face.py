"""The page: it contains everything, escaped, and loads nothing."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from plotly.offline import get_plotlyjs
from report_samples import INJECTION, artifact, full, many, ninety, nothing, report, row, scenario

from pipelines.report import figures, html_face
from pipelines.report.lines import lines, troubles
from pipelines.report.numbers import plain
from pipelines.results import IN_PROCESS, Report

LOADING = {"src", "href", "srcset", "data", "action", "poster", "background", "formaction", "xlink:href"}


class Reader(HTMLParser):
    """The text that a reader sees, the tags and attributes, the scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag in self.inside:
            self.inside[tag].append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag in self.inside and self.cdata_elem:
            self.inside[self.lasttag][-1] += data
        else:
            self.text.append(data)

    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def test_every_row_and_reason_is_there(any_report: Report) -> None:
    read = Reader(html_face.render(any_report))
    text = read.words()
    for trouble in troubles(any_report):
        assert " ".join(trouble.sentence.split()) in text
        assert " ".join(trouble.log.split()) in text
    for line in lines(any_report):
        for part in (line.row.path, line.row.variant, line.row.way):
            assert plain(part) in text
    assert " ".join(any_report.recommendation.reason.split()) in text
    headers = [attributes for tag, attributes in read.tags if tag == "th" and attributes.get("scope") == "row"]
    assert len(headers) >= len(lines(any_report))


def test_foreign_text_makes_no_tag(any_report: Report) -> None:
    page = html_face.render(any_report)
    assert INJECTION not in page
    read = Reader(page)
    assert not [tag for tag, _ in read.tags if tag in {"img", "iframe", "object", "embed", "link", "base", "form"}]
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]
    assert "49" not in [word.strip() for word in read.text if "7*7" in word]
    assert len(read.inside["script"]) == (3 if figures.figures(lines(any_report)) else 2)


def test_nothing_is_loaded(any_report: Report) -> None:
    read = Reader(html_face.render(any_report))
    addresses = [value for _, attributes in read.tags for name, value in attributes.items() if name in LOADING]
    assert addresses
    assert all(re.fullmatch(r"(\.\./\.\./claims/claims\.html)?#[\w-]+", address) for address in addresses)
    styles = " ".join(read.inside["style"] + [attributes.get("style", "") for _, attributes in read.tags])
    assert not re.search(r"@import|url\(|image-set\(|//", styles)
    own = [script for script in read.inside["script"] if script != get_plotlyjs()]
    assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import\(|WebSocket", own[-1])


def test_the_policy_forbids_every_address_and_every_other_script(full_report: Report) -> None:
    read = Reader(html_face.render(full_report))
    policy = next(
        a["content"] for tag, a in read.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    for script in read.inside["script"][1:]:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy


def test_links_lead_somewhere(any_report: Report) -> None:
    read = Reader(html_face.render(any_report))
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    inside = {a["href"] for tag, a in read.tags if tag == "a" and not a["href"].startswith(html_face.CLAIMS_PAGE)}
    assert {address[1:] for address in inside} <= set(ids)


def test_a_reader_without_scripts_or_eyes_gets_everything(full_report: Report) -> None:
    read = Reader(html_face.render(full_report))
    tags = [tag for tag, _ in read.tags]
    assert tags.count("caption") == tags.count("table")
    assert "noscript" in tags
    plots = [a for tag, a in read.tags if tag == "div" and a.get("class") == "plot"]
    assert len(plots) == 10
    assert all(plot["role"] == "img" and len(plot["aria-label"]) > 40 for plot in plots)


def test_a_missing_percentile_says_why(full_report: Report) -> None:
    read = Reader(html_face.render(full_report))
    titles = [a.get("title", "") for tag, a in read.tags if tag == "td"]
    assert "p99 needs 459 answers, had 212: test longer" in titles
    assert "torch-model-archiver is not installed. Run: pip install 'slipway-paths[torchserve]'" in titles


def test_without_plots_the_page_is_small() -> None:
    assert len(html_face.render(nothing())) < 40_000


def test_write_replaces_whole_files(full_report: Report, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    html_face.write(full_report, path)
    assert path.read_text("utf-8") == html_face.render(full_report)
    assert list(tmp_path.iterdir()) == [path]


def looks_of(report: Report, kind: str, look: Callable[[dict[str, Any]], Iterable[tuple[Any, ...]]]) -> dict:
    """Path -> its looks in all traces of a kind, of which the look is read per row."""
    found: dict[str, set[tuple[Any, ...]]] = {}
    for figure in figures.figures(lines(report)):
        for trace in figure.data:
            if trace["type"] == kind:
                for path, *seen in look(trace):
                    found.setdefault(path, set()).add(tuple(seen))
    return found


def test_forty_paths_have_a_look_each_the_same_in_every_plot() -> None:
    def bars(trace: dict[str, Any]) -> Iterable[tuple[Any, ...]]:
        marker = trace["marker"]
        names = [name.split()[0] for name in trace["customdata"]]
        return zip(names, marker["line"]["color"], marker["pattern"]["shape"], strict=True)

    found = looks_of(many(40), "bar", bars)
    assert len(found) == 40
    assert {len(seen) for seen in found.values()} == {1}
    assert len({look for seen in found.values() for look in seen}) == 40
    read = Reader(html_face.render(many(40)))
    swatches = {(a["class"], a["style"]) for _, a in read.tags if "t" in a.get("class", "") and "style" in a}
    assert len({look for look in swatches if look[0].startswith("swatch t")}) == 40


def test_lines_have_the_colour_and_the_mark_of_their_path_and_the_name_of_their_row() -> None:
    found = ninety()
    for name, lines_a_row in (("curve", 2), ("tail", 1), ("timeline", 2)):
        (figure,) = (one for one in figures.figures(lines(found)) if one.id == name)
        assert len(figure.data) == 90 * lines_a_row
        assert {one["legendgroup"] for one in figure.data} == {line.name for line in lines(found)}
        colours = {(one["legendgroup"].split()[0], one["line"]["color"].removesuffix("80")) for one in figure.data}
        assert len(colours) == len({colour for _, colour in colours}) == 15


def test_a_page_of_ninety_rows_is_below_eight_megabytes() -> None:
    assert len(html_face.render(ninety()).encode()) < 8_000_000


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (0.5, 9.0), (0.01, 40_000.0), (1e-7, 1.0)])
def test_log_axes_have_ticks_enough_and_not_too_many(low: float, high: float) -> None:
    quantiles = tuple(low * (high / low) ** (n / 100) for n in range(101))
    measured = row(scenarios=(scenario("server", **{"latency.quantiles_ms": quantiles}),))
    made = {figure.id: figure for figure in figures.figures(lines(replace(nothing(), rows=(measured,))))}
    ticks = made["latency-server"].layout["xaxis"]["ticktext"]
    assert len(ticks) <= 10
    assert len(ticks) >= (1 if low == high else 3)


def test_labels_are_escaped_for_plotly_and_short() -> None:
    measured = row(path="<a href='https://example.invalid'>" + "x" * 100)
    for figure in figures.figures(lines(replace(nothing(), rows=(measured,)))):
        for note in figure.layout.get("annotations", []):
            assert note["text"].startswith("&lt;a href")
            shown = html.unescape(note["text"])
            assert len(shown) == figures.LABEL_CHARS
            assert "…" in shown[20:-20]


def test_values_of_the_sample_stand_in_the_plots() -> None:
    made = {figure.id: figure for figure in figures.figures(lines(full()))}
    assert made["size"].data[0]["text"][0] == "19.4"
    assert made["share"].data[0]["y"] == list(range(len(made["share"].data[0]["x"])))
    assert "! torchserve eager torchserve-rest" in [a["text"] for a in made["latency-server"].layout["annotations"]]


def test_the_first_call_is_told_apart_from_the_cold_start() -> None:
    one = row("torch-compile", "fp32", IN_PROCESS, cold_start_s=29.9, first_call_s=25.8)
    page = html_face.render(report((artifact("torch-compile"),), (one,)))
    assert "first call after 30 s from the start of the process; the call itself took 26 s" in page


def test_the_page_says_what_an_artifact_holds() -> None:
    page = html_face.render(report((artifact(),), ()))
    assert ": int8 97 %, float32 3.0 %; 50.00 % delegated; custom: &lt;b&gt;; opset 20</summary>" in page
    assert "<dt>Operations</dt><dd>2 Conv, 1 &lt;b&gt;</dd>" in page


def test_claims_that_rest_on_a_run_lead_to_the_page_of_the_claims(
    full_report: Report, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from pipelines.artifacts.workspace import Workspace
    from pipelines.claims.ledger.running import ledger_of

    monkeypatch.setattr(html_face, "claims_on_runs", dict)
    assert 'id="claims"' not in html_face.render(full_report)
    monkeypatch.setattr(html_face, "claims_on_runs", lambda: {"S1": "A whole chain.", "H1": INJECTION})
    read = Reader(html_face.render(full_report))
    links = [attributes["href"] for tag, attributes in read.tags if tag == "a" and "claims.html" in attributes["href"]]
    assert links == ["../../claims/claims.html#S1", "../../claims/claims.html#H1"]
    assert "slipway claims run S1 H1" in read.words()
    assert f"H1 {INJECTION}" in read.words()
    workspace = Workspace(tmp_path)
    folder = workspace.reports("mnist_cnn") / "20261129T120000Z"
    leads_to = (folder / html_face.CLAIMS_PAGE).resolve()
    assert leads_to == (ledger_of(workspace).folder / "claims.html").resolve()


def test_claims_on_runs_are_those_that_say_so() -> None:
    from pipelines.claims import CLAIMS, claim_module

    found = html_face.claims_on_runs()
    assert set(found) == {name for name in CLAIMS if claim_module(name).CLAIM.reads_runs}
