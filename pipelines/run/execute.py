"""Checks the words of a command, then runs the pipeline, or tests servers that run already."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pipelines.artifacts.named import spec_named
from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import SlipwayError, UserError
from pipelines.base.progress import Steps, say
from pipelines.fairness.order import new_seed
from pipelines.measure.server import flavour_for, server_module
from pipelines.paths.choose import choose
from pipelines.results import Report
from pipelines.run.addresses import Deployed, among, parse
from pipelines.run.deployed_run import DeployedRun, Look
from pipelines.run.journal import Intent, Journal, Journaled, resume
from pipelines.run.options import Options
from pipelines.run.pipeline import Run
from pipelines.run.prepare import Context, open_context


def execute(
    workspace: Workspace, model: str, words: tuple[str, ...], options: Options, *, keep: bool
) -> tuple[Report, Path]:
    """Run the pipeline; return its report and its folder: with ``keep`` a new one below reports/MODEL, else the logs'.

    A run that is kept can be resumed until it has ended.
    Raises UserError for an unknown model, path, variant or server.
    """
    choices = choose(words)
    if options.server is not None and not any(flavour_for(choice.card, options.server) for choice in choices):
        for choice in choices:
            server_module(choice.card, options.server)  # raises, with the nearest names
    context = open_context(workspace, model, "loadtest", options.rebuild)
    if not keep:
        with Steps() as steps:
            running = Run(context, spec_named(workspace, model), choices, options, steps)
            running.execute()
            return running.report(), context.logs
    if options.seed is None:
        options = replace(options, seed=new_seed())
    started = datetime.now(UTC).isoformat(timespec="seconds")
    folder = _new_folder(workspace, model)
    intent = Intent(words, options, started, shlex.join(["slipway", *sys.argv[1:]]))
    return _journaled(context, model, folder, Journaled(Journal.begin(folder, intent), intent))


def execute_again(workspace: Workspace, model: str) -> tuple[Report, Path, Options]:
    """Go on with the newest run that did not end; return its report, its folder and its options.

    What it measured is not measured again, unless the artifact is another. Raises UserError if there is no such run.
    """
    context = open_context(workspace, model, "run")
    folder, journaled = resume(workspace.reports(model))
    say(f"going on with {workspace.shown(folder)}: {len(journaled.rows)} rows were measured before")
    return *_journaled(context, model, folder, journaled), journaled.intent.options


def _journaled(context: Context, model: str, folder: Path, journaled: Journaled) -> tuple[Report, Path]:
    intent, context = journaled.intent, replace(context, logs=folder / "logs")
    with Steps() as steps:
        running = Run(
            context, spec_named(context.workspace, model), choose(intent.words), intent.options, steps, journaled
        )
        running.execute()
        report = running.report()
    if report.interrupted:
        journaled.journal.close()
    else:
        journaled.journal.end()
    return report, folder


def execute_deployed(
    workspace: Workspace, model: str, words: tuple[str, ...], at: tuple[str, ...], options: Options
) -> tuple[Report, Path]:
    """Test the servers that run at ``at``; return the report and its folder below reports/MODEL. Raises UserError."""
    if options.server is not None:
        raise UserError(
            f"--server is for a new server, --at for running ones: give one. Received: both, {options.server} and {at}"
        )
    return measure_deployed(workspace, model, among(parse(at), words), options)


def measure_deployed(
    workspace: Workspace,
    model: str,
    servers: Sequence[Deployed],
    options: Options,
    look: Look | None = None,
    command: str | None = None,
) -> tuple[Report, Path]:
    """Test running servers; return the report and its folder. Raises UserError.

    With ``look``, which gets the live figures, nothing is printed. ``command`` is the one that does the same again, if
    it is not this process's own.
    """
    spec = spec_named(workspace, model)
    with Steps(quiet=look is not None) as steps:
        running = DeployedRun(Context(workspace, workspace.reports(model)), spec, servers, options, steps)
        running.look, running.command = look, command or running.command
        folder = _writable_folder(workspace, model)
        running.context = replace(running.context, logs=folder / "logs")
        running.execute()
        return running.report(), folder


def _writable_folder(workspace: Workspace, model: str) -> Path:
    """Make a new folder for a report. Raises UserError, before anything is measured, if it cannot be made."""
    try:
        return _new_folder(workspace, model)
    except PermissionError as error:
        raise UserError(
            f"the report cannot be written to {workspace.shown(workspace.reports(model))}: {error.strerror}. "
            f"Let user {os.getuid()} write there"
        ) from error


def _new_folder(workspace: Workspace, model: str) -> Path:
    """Make ``reports/MODEL/TIMESTAMP``, a new folder even if another run began in the same second."""
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
