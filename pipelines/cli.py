"""The commands, thin: one file each under ``commands``, joined here. No framework is imported."""

from __future__ import annotations

import io
import signal
import sys
import threading
from pathlib import Path

import click

from pipelines.commands.base import Commands
from pipelines.commands.conform import conform_command
from pipelines.commands.listing import list_command
from pipelines.commands.loadtest import loadtest_command
from pipelines.commands.manifests import manifests_command
from pipelines.commands.package import package_command, verify_command
from pipelines.commands.predict import predict_command
from pipelines.commands.report import report_command
from pipelines.commands.run import run_command
from pipelines.commands.serve import serve_command
from pipelines.commands.train import train_command
from pipelines.workspace import Workspace


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--workspace",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    envvar="SLIPWAY_WORKSPACE",
    show_default="the current folder",
    help="Where artifacts/ and reports/ are kept; also SLIPWAY_WORKSPACE.",
)
@click.version_option(package_name="slipway")
@click.pass_context
def main(ctx: click.Context, workspace: Path) -> None:
    """Every production path of one trained model: packaged, proved equal, served, load-tested, weighed.

    \b
    Exit codes:
      0    all well
      1    a parity check, a server or a load test failed
      2    a mistake in what was asked for
      130  interrupted
    """
    # A supervisor's SIGTERM is handled as Ctrl-C is: servers stopped, workers ended, nothing left.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows only ASCII still gets the report
    ctx.obj = Workspace(workspace.absolute())


for each in (
    list_command,
    train_command,
    package_command,
    verify_command,
    serve_command,
    predict_command,
    loadtest_command,
    run_command,
    report_command,
    conform_command,
    manifests_command,
):
    main.add_command(each)
