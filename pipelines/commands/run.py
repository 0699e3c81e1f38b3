"""``slipway run``: measurements, and the report of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from models.trained import FRAMEWORKS
from pipelines.commands.base import command, emit, end_with, finite, model_and_paths, open_context
from pipelines.errors import SlipwayError, UserError, unknown

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.results import Report
    from pipelines.workspace import Workspace

LOAD_OPTIONS = (
    click.option(
        "--duration",
        type=click.FloatRange(0.5, 3600),
        default=5.0,
        show_default=True,
        help="Seconds of load test per row, shared by its scenarios.",
    ),
    click.option(
        "--rate",
        type=click.FloatRange(min=0, min_open=True),
        help="Requests per second of the server scenario; the model's own if left out.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        default=1,
        show_default=True,
        help="Compute threads of one prediction, in process and behind servers.",
    ),
    click.option("--server", metavar="NAME", help="Another server where a path has it, for example native."),
    click.option(
        "--scenario",
        "scenarios",
        multiple=True,
        metavar="NAME",
        help="single-stream, offline or server; may be repeated; all if left out.",
    ),
)


def load_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What ``run`` and ``loadtest`` share."""
    for option in reversed(LOAD_OPTIONS):
        function = option(function)
    return function


@command(
    "run",
    "run mnist_cnn",
    "run mnist_cnn litert tf-serving:fp32 --duration 10",
    "run mnist_cnn --repeat 5",
    "run mnist_cnn tf-serving onnxruntime --curve",
    "run mnist_cnn onnxruntime --containers",
)
@model_and_paths
@load_options
@click.option(
    "--tolerance", type=click.FloatRange(min=0), callback=finite, help="Largest absolute difference of an output."
)
@click.option("--framework", type=click.Choice(FRAMEWORKS), help="Whose training loop, and so the reference.")
@click.option("--rebuild", is_flag=True, help="Train, package and verify even if nothing has changed.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="How many artifacts are built side by side.",
)
@click.option(
    "--repeat",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Measure every row so many times, each round in a new order; medians are reported.",
)
@click.option("--seed", type=click.IntRange(0), help="Of the random order; another each time if left out.")
@click.option("--curve", is_flag=True, help="Measure each served row at several rates, too (about 12 s a row).")
@click.option("--containers", is_flag=True, help="Measure every server in its container, too.")
def run_command(workspace: Any, model: str, paths: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Package, verify, serve, query, load-test and report every path. Exit code 1 if one fails."""
    finish(workspace, model, *execute(workspace, model, paths, keep=True, **options), as_json)


def finish(workspace: Workspace, model: str, report: Report, folder: Path, as_json: bool) -> None:
    """Show the report, write it, and end with the exit code that it asks for."""
    from pipelines import report as faces
    from pipelines.files import link
    from pipelines.report import terminal

    # Shown before it is written: a full disk costs the files, not what was measured.
    emit(report, as_json, lambda: terminal.show(report, brief=True))
    try:
        written = faces.write_all(report, folder)
        latest = workspace.reports(model) / "latest"
        link(latest, folder)
    except OSError as error:
        raise UserError(f"the report could not be written to {folder}: {error.strerror or error}") from error
    click.echo(f"report: {latest / written['html'].name}", err=as_json)
    end_with(report)


def execute(
    workspace: Workspace,
    model: str,
    words: tuple[str, ...],
    *,
    keep: bool,
    duration: float,
    rate: float | None,
    threads: int,
    server: str | None,
    scenarios: tuple[str, ...],
    tolerance: float | None = None,
    framework: str | None = None,
    rebuild: bool = False,
    jobs: int = 1,
    containers: bool = False,
    repeat: int = 1,
    seed: int | None = None,
    curve: bool = False,
) -> tuple[Report, Path]:
    """Check the words, then run the pipeline: its report, and the folder of its logs.

    With ``keep`` that is a folder of its own below reports/MODEL.
    """
    from pipelines.progress import Steps
    from pipelines.run import SCENARIOS, Options, Run
    from pipelines.select import choose, spec_named
    from pipelines.served import flavour_for, server_module

    choices = choose(words)
    for name in scenarios:
        if name not in SCENARIOS:
            raise unknown("scenario", name, SCENARIOS)
    if curve and scenarios and "server" not in scenarios:
        named = ", ".join(scenarios)
        raise UserError(f"--curve belongs to the server scenario. Received: --scenario {named}. Add --scenario server.")
    if server is not None and not any(flavour_for(choice.card, server) for choice in choices):
        for choice in choices:
            server_module(choice.card, server)  # raises, with the nearest names
    context = open_context(workspace, model, "loadtest", rebuild)
    folder = _new_folder(workspace, model) if keep else context.logs
    if keep:
        context = replace(context, logs=folder / "logs")
    options = Options(
        seconds_per_row=duration,
        rate_per_s=rate,
        threads=threads,
        jobs=jobs,
        atol=tolerance,
        server=server,
        scenarios=tuple(name for name in SCENARIOS if name in scenarios) or SCENARIOS,
        framework=framework,
        containers=containers,
        repeat=repeat,
        seed=seed,
        curve=curve,
    )
    with Steps() as steps:
        running = Run(context, spec_named(model), choices, options, steps)
        running.execute()
        return running.report(), folder


def execute_deployed(
    workspace: Workspace,
    model: str,
    words: tuple[str, ...],
    at: tuple[str, ...],
    *,
    duration: float,
    rate: float | None,
    threads: int,
    server: str | None,
    scenarios: tuple[str, ...],
) -> tuple[Report, Path]:
    """Ask the servers that run at ``at``: the report, and its folder below reports/MODEL. Raises UserError."""
    from pipelines.deployed import among, parse
    from pipelines.deployed_run import DeployedRun
    from pipelines.progress import Steps
    from pipelines.run import SCENARIOS, Options
    from pipelines.select import spec_named
    from pipelines.steps import Context

    for name in scenarios:
        if name not in SCENARIOS:
            raise unknown("scenario", name, SCENARIOS)
    if server is not None:
        raise UserError(f"--server starts a server, and --at asks those that run. Received: both, {server} and {at}")
    servers = among(parse(at), words)
    spec = spec_named(model)
    options = Options(
        seconds_per_row=duration,
        rate_per_s=rate,
        threads=threads,
        scenarios=tuple(name for name in SCENARIOS if name in scenarios) or SCENARIOS,
    )
    with Steps() as steps:
        running = DeployedRun(Context(workspace, workspace.reports(model)), spec, servers, options, steps)
        folder = _writable_folder(workspace, model)
        running.context = replace(running.context, logs=folder / "logs")
        running.execute()
        return running.report(), folder


def _writable_folder(workspace: Workspace, model: str) -> Path:
    """A new folder for a report. Raises UserError, before anything is measured, where none can be made."""
    try:
        return _new_folder(workspace, model)
    except PermissionError as error:
        raise UserError(
            f"the report cannot be written to {workspace.reports(model)}: {error.strerror}. "
            f"Let user {os.getuid()} write there; with docker compose, be yourself: "
            'SLIPWAY_USER="$(id -u):$(id -g)" docker compose run --rm slipway loadtest'
        ) from error


def _new_folder(workspace: Workspace, model: str) -> Path:
    """``reports/MODEL/TIMESTAMP``, of its own even if another run began in the same second."""
    base = workspace.reports(model)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        folder = base / f"{stamp}{suffix}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise SlipwayError(f"no free name for a report in {base}: 99 runs began at {stamp}")
