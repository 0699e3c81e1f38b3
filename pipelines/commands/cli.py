"""Defines the command line: a command is imported when it is called, and ``--help`` imports no framework or numpy."""

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
    "inspect": "inspect:inspect_command",
    "train": "train:train_command",
    "package": "package:package_command",
    "verify": "package:verify_command",
    "rollout": "rollout:rollout_command",
    "serve": "serve:serve_command",
    "predict": "predict:predict_command",
    "web": "web:web_command",
    "run": "run:run_command",
    "report": "report:report_command",
    "advise": "advise:advise_command",
    "claims": "claims:claims_command",
    "clean": "clean:clean_command",
    "loadtest": "loadtest:loadtest_command",
    "loadtest-url": "loadtest_url:loadtest_url_command",
    "calibrate": "calibrate:calibrate_command",
    "conform": "conform:conform_command",
    "manifests": "manifests:manifests_command",
}
"""Maps a command's name to its module under ``pipelines.commands`` and its name there, in the order of ``--help``."""


@click.group(cls=Commands, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--workspace",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    envvar="SLIPWAY_WORKSPACE",
    show_default="the current folder",
    help="The folder of artifacts/ and reports/; also SLIPWAY_WORKSPACE.",
)
@click.version_option(package_name=DISTRIBUTION)
@click.pass_context
def main(ctx: click.Context, workspace: Path) -> None:
    """Package one trained model for every production path, prove the results equal, serve, load-test and compare them.

    \b
    Exit codes:
      0    success
      1    a parity check, a server or a load test failed
      2    a mistake of the user
      130  interrupted
    """
    from pipelines.artifacts.workspace import Workspace

    # SIGTERM is handled like Ctrl-C: servers are stopped, workers ended, nothing is left running.
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
