"""The report's view of how comparable its rows are."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from report_samples import contained, curved, fairness, in_rounds, nothing, row
from rich.console import Console

from pipelines.report import fairness_view, figures, html_face
from pipelines.report.lines import Line, lines
from pipelines.report.terminal import show
from pipelines.results import Report


def printed(report: Report, width: int = 200) -> str:
    file = io.StringIO()
    show(report, Console(file=file, width=width))
    return " ".join(file.getvalue().split())


def test_a_noisy_machine_is_said_with_what_was_measured_and_its_limit() -> None:
    report = in_rounds()
    said = "other processes, during load tests 31 % (limit 5.0 %)"
    assert said in (fairness_view.banner(report) or "")
    assert f"NOISY MACHINE {fairness_view.banner(report)}" in printed(report)
    assert said in html_face.render(report)


def test_a_quiet_machine_has_no_banner() -> None:
    quiet = replace(in_rounds(), fairness=fairness())
    assert fairness_view.banner(quiet) is None
    assert "NOISY" not in printed(quiet)
    assert 'class="banner' not in html_face.render(quiet)


def test_a_report_of_an_older_version_says_nothing_of_it() -> None:
    old = nothing()
    assert old.fairness is None
    assert fairness_view.banner(old) is None
    assert fairness_view.sentences(old) == []
    assert fairness_view.thread_rows(old, [Line(row(), None)]) == []
    assert 'id="fairness"' not in html_face.render(old)


def test_a_breach_and_what_could_not_be_seen_are_named() -> None:
    report = in_rounds()
    verdicts = {one.line.name: one.verdict for one in fairness_view.thread_rows(report, lines(report))}
    assert verdicts["onnxruntime fp32 in-process"] == "breach"
    assert verdicts["onnxruntime fp32 onnxruntime-rest"] == "not seen"
    assert list(verdicts.values()).count("kept") == len(verdicts) - 2
    text = printed(report)
    assert "by its CPU time under load: 8 kept, 1 breach, 1 not seen." in text
    assert "! more threads than allowed onnxruntime fp32 in-process single-stream: 1.93 cores busy" in text


def test_of_servers_that_were_running_nothing_is_claimed() -> None:
    report = replace(in_rounds(), fairness=replace(in_rounds().fairness, server_cpus=()))  # type: ignore[type-var]
    said = " ".join(fairness_view.sentences(report))
    assert "The servers were running already; the load generator ran on processors 0-1." in said
    assert "started anew" not in said
    assert "was told" not in said
    assert "Compute threads" not in html_face.render(report)


def test_a_breach_in_a_container_is_named_too() -> None:
    broken = "single-stream: 1.93 cores busy"
    report = replace(contained(), fairness=fairness())
    first, *others = report.containers
    report = replace(report, containers=(replace(first, row=replace(first.row, breaches=(broken,))), *others))
    name = f"{first.row.path} {first.row.variant} {first.row.way}, {first.via}"
    assert f"! more threads than allowed {name} {broken}" in printed(report)
    page = html_face.render(report).partition('<section id="fairness">')[2].partition("</section>")[0]
    assert broken in page
    assert f"{first.row.way}, {first.via}" in page


def test_seed_rounds_and_processors_are_told() -> None:
    said = " ".join(fairness_view.sentences(in_rounds()))
    assert "in 5 rounds, each in a different order, with everything restarted (seed 7)" in said
    assert "share processors 0-1: there are too few to separate them" in said
    apart = replace(in_rounds(), fairness=fairness(server_cpus=(0, 1, 2), generator_cpus=(3,), cpus_apart=True))
    said = " ".join(fairness_view.sentences(apart))
    assert "Measured in random order, once (seed 7)." in said
    assert "Servers run on processors 0-2, the load generator on 3." in said


@pytest.mark.parametrize(("cpus", "text"), [((), ""), ((3,), "3"), ((0, 1, 2), "0-2"), ((7, 0, 2, 1, 5), "0-2,5,7")])
def test_processors_are_written_as_linux_does(cpus: tuple[int, ...], text: str) -> None:
    assert fairness_view.cpu_list(cpus) == text


def test_the_range_of_the_rounds_stands_below_a_figure() -> None:
    report = in_rounds()
    assert "4,000 3,600–4,800" in " ".join(html_face.render(report).replace('<small class="spread">', " ").split())
    assert "3,600–4,800" in printed(report)


def test_the_curves_of_all_rows_are_in_one_plot_and_told_apart() -> None:
    (plot,) = (one for one in figures.figures(lines(in_rounds())) if one.id == "curve")
    assert plot.wide
    rows = [one["legendgroup"] for one in plot.data]
    assert len(rows) == 2 * len(set(rows)) == 12  # p50 and p99
    assert len({one["line"]["color"] for one in plot.data}) == len({row.split()[0] for row in rows}) == 3
    alone = figures.figures([Line(curved(row(), 900.0), None)])
    (single,) = (one for one in alone if one.id == "curve")
    assert single.layout["showlegend"] is False
