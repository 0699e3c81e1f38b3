"""``slipway advise``: which row of a report to ship, among those that a user can use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pipelines.base.errors import UserError, unknown
from pipelines.commands.base import command, emit

if TYPE_CHECKING:
    from pipelines.report.lines import Line
    from pipelines.results import Report

MB = 1e6


@command("advise", "advise mnist_cnn", "advise mnist_cnn --protocol tf-serving-grpc --max-size 1.5")
@click.argument("model")
@click.option("--path", "paths", multiple=True, metavar="PATH[:VARIANT]", help="Only this one; may be repeated.")
@click.option("--protocol", "protocols", multiple=True, help="Only behind this one; may be repeated.")
@click.option("--max-size", type=click.FloatRange(0, min_open=True), metavar="MB", help="Only artifacts up to this.")
@click.option("--run", "run_name", default="latest", show_default=True, help="The folder below reports/MODEL.")
def advise_command(
    workspace: Any,
    model: str,
    paths: tuple[str, ...],
    protocols: tuple[str, ...],
    max_size: float | None,
    run_name: str,
    as_json: bool,
) -> None:
    """Say which row of a model's newest report to ship, and why; narrowed to what you can use.

    The rules are those of the report's own recommendation. Exit code 1 if all rows failed or were skipped.
    """
    from pipelines.commands.report import reread
    from pipelines.report import lines as report_lines
    from pipelines.report import recommend, terminal

    report, _ = reread(workspace, model, run_name)
    rules = _rules(report, paths, protocols, max_size)
    found = [line for line in report_lines.lines(report) if all(rule(line) for rule in rules)]
    if not found:
        raise UserError(f"no row of the report of {model} is all of that. Ask for less, or run it: slipway run {model}")
    artifacts, rows = [line.artifact for line in found if line.artifact], [line.row for line in found]
    advice = recommend.recommend(artifacts, rows, noisy=_noisy(report))
    near, (scenario, figure) = recommend.contenders(artifacts, rows)
    if advice.row not in [line.name for line in near]:  # where the machine was disturbed, CPU time decides
        near, figure = [line for line in found if line.name == advice.row], "server.cpu_ms_per_request"
    result = {
        "model": model,
        "started": report.started,
        "machine": asdict(report.machine),
        "rows": len(found),
        "recommendation": asdict(advice),
        "near": [line.name for line in near],
        "decided_by": f"{scenario} {figure}",
    }

    def text() -> None:
        terminal.show_lines(near, report)
        terminal.show_recommendation(advice)
        click.echo(f"Of {len(found)} rows, measured on {report.started[:10]}: {report.machine.cpu}")

    emit(result, as_json, text)
    if all(line.row.status != "ok" for line in found):
        raise SystemExit(1)


def _rules(
    report: Report, paths: tuple[str, ...], protocols: tuple[str, ...], max_size: float | None
) -> list[Callable[[Line], bool]]:
    """Return what a row has to be. Raises UserError, with the nearest names, for what the report does not have."""
    names = {name for row in report.rows for name in (row.path, f"{row.path}:{row.variant}")}
    ways = {row.protocol for row in report.rows if row.protocol}
    for what, asked, known in (("path", paths, names), ("protocol", protocols, ways)):
        for one in asked:
            if one not in known:
                raise unknown(f"{what} of the report", one, sorted(known))
    rules: list[Callable[[Line], bool]] = []
    if paths:
        rules.append(lambda line: line.row.path in paths or f"{line.row.path}:{line.row.variant}" in paths)
    if protocols:
        rules.append(lambda line: line.row.protocol in protocols)
    if max_size is not None:
        rules.append(lambda line: _size(line) <= max_size * MB)
    return rules


def _size(line: Line) -> float:
    """Return the bytes of a row's artifact; infinity if there is none."""
    size = line.artifact.size_bytes if line.artifact else None
    return float("inf") if size is None else size


def _noisy(report: Report) -> bool:
    return report.fairness is not None and report.fairness.noisy
