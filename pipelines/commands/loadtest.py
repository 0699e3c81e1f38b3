"""``slipway loadtest``: load-tests the paths of a model, with servers started here or already running."""

from __future__ import annotations

from typing import Any

from pipelines.commands.base import command, emit, end_with, model_and_paths, running_servers
from pipelines.commands.run_options import load_options


@command(
    "loadtest",
    "loadtest mnist_cnn onnxruntime",
    "loadtest mnist_cnn litert --scenario server --rate 100",
    "loadtest mnist_cnn onnxruntime --at onnxruntime=http://127.0.0.1:8080",
)
@model_and_paths
@load_options
@running_servers
def loadtest_command(
    workspace: Any, model: str, paths: tuple[str, ...], at: tuple[str, ...], as_json: bool, **chosen: Any
) -> None:
    """Load-test a model's paths. Exit code 1 if a result is invalid.

    With --at nothing is started: the running servers named there are tested, and the report is kept.
    """
    from pipelines.commands.run import finish
    from pipelines.report import terminal
    from pipelines.run.execute import execute, execute_deployed
    from pipelines.run.options import Options

    options = Options(**chosen)
    if at:
        report, folder = execute_deployed(workspace, model, paths, at, options)
        finish(workspace, model, report, folder, as_json, strict=options.strict)
        return
    report, _ = execute(workspace, model, paths, options, keep=False)
    emit(report.rows, as_json, lambda: terminal.show(report))
    end_with(report, strict=options.strict)
