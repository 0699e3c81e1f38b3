"""``slipway report``: shows a run's report again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.base.errors import UserError, unknown
from pipelines.commands.base import command, emit

if TYPE_CHECKING:
    from pipelines.artifacts.workspace import Workspace
    from pipelines.results import Report


@command("report", "report mnist_cnn", "report mnist_cnn --run 20260131T120000Z --json")
@click.argument("model")
@click.option("--run", "run_name", default="latest", show_default=True, help="The folder below reports/MODEL.")
def report_command(workspace: Any, model: str, run_name: str, as_json: bool) -> None:
    """Show a run's report again, and rewrite its report.html from report.json."""
    from pipelines.report import html_face, terminal

    report, folder = reread(workspace, model, run_name)
    try:
        html_face.write(report, folder / "report.html")
    except OSError as error:
        click.echo(f"slipway: cannot rewrite report.html: {error.strerror or error}", err=True)

    def text() -> None:
        terminal.show(report)
        click.echo(f"report: {workspace.shown(folder / 'report.html')}")

    emit(report, as_json, text)


def reread(workspace: Workspace, model: str, name: str) -> tuple[Report, Path]:
    """Read a run's report and return it with its folder. Raises UserError, with the nearest names, if there is none."""
    from pipelines.artifacts.named import spec_named
    from pipelines.report import json_face

    spec_named(workspace, model)
    base = workspace.reports(model)
    folder = base / name
    if Path(name).name != name or not (folder / "report.json").exists():
        known = sorted(path.parent.name for path in base.glob("*/report.json"))
        if not known:
            raise UserError(f"no report of {model} in {workspace.shown(base)}. Run: slipway run {model}")
        raise unknown(f"run of {model}", name, known)
    return json_face.read(folder / "report.json"), folder.resolve()
