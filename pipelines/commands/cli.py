"""The command line: one file a command, imported when it is called; no framework, no numpy for ``--help``."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from pathlib import Path

import click

from pipelines.commands.base import Commands
from serving.extras import DISTRIBUTION

LEAST_COLUMNS = 20
COMMANDS = {
    "list": "listing:list_command",
    "train": "train:train_command",
    "package": "package:package_command",
    "verify": "package:verify_command",
    "serve": "serve:serve_command",
    "predict": "predict:predict_command",
    "run": "run:run_command",
    "report": "report:report_command",
    "clean": "clean:clean_command",
    "loadtest": "loadtest:loadtest_command",
    "loadtest-url": "loadtest_url:loadtest_url_command",
    "calibrate": "calibrate:calibrate_command",
    "conform": "conform:conform_command",
    "manifests": "manifests:manifests_command",
}
"""Name -> module under ``pipelines.commands`` and the command in it, in the order of ``--help``."""


@click.group(cls=Commands, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--workspace",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    envvar="SLIPWAY_WORKSPACE",
    show_default="the current folder",
    help="Where artifacts/ and reports/ are kept; also SLIPWAY_WORKSPACE.",
)
@click.version_option(package_name=DISTRIBUTION)
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
    from pipelines.artifacts.workspace import Workspace

    # A supervisor's SIGTERM is handled as Ctrl-C is: servers stopped, workers ended, nothing left.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as pipelines.__main__ left it
            signal.signal(signal.SIGINT, signal.default_int_handler)
    # Rich takes COLUMNS=0, of terminals that do not know their width, by its word and shows nothing.
    if (columns := os.environ.get("COLUMNS", "")).isdecimal() and int(columns) < LEAST_COLUMNS:
        del os.environ["COLUMNS"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows only ASCII still gets the report
    ctx.obj = Workspace(workspace.absolute())
