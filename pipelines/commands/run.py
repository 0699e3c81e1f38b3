"""``slipway run``: measures every path and reports the results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from models import FRAMEWORKS
from pipelines.base.errors import UserError
from pipelines.commands.base import command, emit, end_with, finite, model_and_paths
from pipelines.commands.durations import Duration
from pipelines.commands.own_options import own_file
from pipelines.commands.run_options import load_options

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.artifacts.workspace import Workspace
    from pipelines.results import Report


@command(
    "run",
    "run mnist_cnn",
    "run mnist_cnn litert tf-serving:fp32 --duration 10",
    "run mnist_cnn --repeat 5",
    "run mnist_cnn --budget 1h",
    "run mnist_cnn tf-serving onnxruntime --curve",
    "run mnist_cnn onnxruntime --containers",
    "run mnist_cnn --resume",
    "run model.keras --inputs samples.npz",
)
@model_and_paths
@own_file
@load_options
@click.option(
    "--tolerance",
    "atol",
    type=click.FloatRange(min=0),
    callback=finite,
    help="Largest allowed absolute difference of an output.",
)
@click.option("--framework", type=click.Choice(FRAMEWORKS), help="The framework that trains; it is the reference.")
@click.option("--rebuild", is_flag=True, help="Train, package and verify even if nothing has changed.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Number of artifacts built side by side.",
)
@click.option(
    "--repeat",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Measure every row in this many rounds, each in a new order, and report medians.",
)
@click.option("--seed", type=click.IntRange(0), help="Seed of the measuring order (default: random).")
@click.option("--curve", is_flag=True, help="Also measure each served row at several rates (about 12 s a row).")
@click.option(
    "--budget",
    "budget_s",
    type=Duration(),
    help="Time for measuring, such as 90s, 10m or 1h. What is left after --repeat rounds goes to more rounds of "
    "disturbed rows, then of those that decide the recommendation, then of the least certain ones (default: a third "
    "of the run's time more, for disturbed rows only).",
)
@click.option("--containers", is_flag=True, help="Also measure every server in its container.")
@click.option("--resume", is_flag=True, help="Go on with the newest run that did not end, with its paths and options.")
def run_command(workspace: Any, model: str, paths: tuple[str, ...], resume: bool, as_json: bool, **chosen: Any) -> None:
    """Package, verify, serve, query, load-test and report every path. Exit code 1 if one fails.

    MODEL is a model of `slipway list`, or a file of your own: .keras, the folder of a SavedModel, .pt2 of torch.export,
    or .onnx. From then on its name is a model's name for every command.
    """
    from pipelines.run.execute import execute, execute_again
    from pipelines.run.options import Options

    options = Options(**chosen)
    if resume and (paths or options != Options()):
        raise UserError("--resume takes the paths and options of the run that did not end. Received: others")
    if resume:
        report, folder, options = execute_again(workspace, model)
    else:
        report, folder = execute(workspace, model, paths, options, keep=True)
    finish(workspace, model, report, folder, as_json, strict=options.strict)


def finish(workspace: Workspace, model: str, report: Report, folder: Path, as_json: bool, *, strict: bool) -> None:
    """Show the report, write it, and exit with its exit code."""
    from pipelines import report as faces
    from pipelines.base.files import link
    from pipelines.report import terminal

    # Shown before it is written: if the disk is full, only the files are lost.
    emit(report, as_json, lambda: terminal.show(report, brief=True))
    try:
        written = faces.write_all(report, folder)
        latest = workspace.reports(model) / "latest"
        if report.interrupted and latest.exists():
            latest = folder  # an interrupted run does not replace the last whole one
        else:
            link(latest, folder)
    except OSError as error:
        shown = workspace.shown(folder)
        raise UserError(f"the report could not be written to {shown}: {error.strerror or error}") from error
    click.echo(f"report: {workspace.shown(latest / written['html'].name)}", err=as_json)
    end_with(report, strict=strict)
