"""``slipway loadtest``: the paths of a model, any server by its address, or the instrument itself."""

from __future__ import annotations

import sys
from typing import Any

import click
from click.core import ParameterSource

from pipelines.commands.base import command, emit, end_with, running_servers
from pipelines.commands.load_options import alone_options
from pipelines.errors import UserError


def _load_options(function: Any) -> Any:
    from pipelines.commands.run import load_options

    return load_options(function)


@command(
    "loadtest",
    "loadtest mnist_cnn onnxruntime",
    "loadtest mnist_cnn litert --scenario server --rate 100",
    "loadtest --url http://127.0.0.1:9000/predict --body request.json --rate 200 --duration 10 --json",
    "loadtest --url grpc://127.0.0.1:9001/package.Service/Method --body request.bin --scenario offline",
    "loadtest --url http://127.0.0.1:9000/predict --body requests/ --find-rate --p99-target-ms 20",
    "loadtest --url http://10.0.0.5:9000/predict --body requests/ --rate 9000 --host load1 --host me@load2",
    "loadtest --self-test",
)
@click.argument("model", required=False, envvar="SLIPWAY_MODEL")
@click.argument("paths", nargs=-1, metavar="[PATH[:VARIANT]]...")
@_load_options
@running_servers
@click.option("--url", help="Test any server: http://HOST:PORT/PATH or grpc://HOST:PORT/package.Service/Method.")
@alone_options
@click.option("--self-test", is_flag=True, help="Calibrate the instrument against a server whose latencies are known.")
@click.pass_context
def loadtest_command(
    ctx: click.Context,
    workspace: Any,
    model: str | None,
    paths: tuple[str, ...],
    at: tuple[str, ...],
    url: str | None,
    self_test: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Load-test a model's paths, any server, or the instrument itself. Exit code 1 if a result is not valid.

    With --at nothing is started: the servers of the model that run there are asked, and the report is kept.
    """
    if (url is not None or self_test) and ctx.get_parameter_source("model") is ParameterSource.ENVIRONMENT:
        model = None  # it stands there for the commands that need one
    given = {name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    modes = [name for name, is_on in (("MODEL", model), ("--url", url), ("--self-test", self_test)) if is_on]
    if len(modes) != 1:
        received = " and ".join(modes) or "none of them"
        raise UserError(f"name a MODEL, --url or --self-test. Received: {received}. Give one.")
    shared = {"duration", "rate", "threads", "server", "scenarios"}
    alone = {name for name in options if name not in shared}
    wrong = {"MODEL": alone, "--url": {"threads", "server", "at"}, "--self-test": alone | shared | {"at"}}[
        modes[0]
    ] & given
    if wrong:
        flags = {param.name: param.opts[0] for param in ctx.command.params}
        named = ", ".join(sorted(flags[name] for name in wrong))
        raise UserError(f"{modes[0]} has no use for {named}. Leave it out.")
    if self_test:
        _self_test(as_json)
    elif url is not None:
        from pipelines.loadtest.command import load_test

        load_test(url, as_json, given, options)
    else:
        _paths(workspace, model or "", paths, at, as_json, {name: options[name] for name in shared})


def _paths(
    workspace: Any, model: str, paths: tuple[str, ...], at: tuple[str, ...], as_json: bool, options: dict[str, Any]
) -> None:
    from pipelines.commands.run import execute, execute_deployed, finish
    from pipelines.report import terminal

    if at:
        finish(workspace, model, *execute_deployed(workspace, model, paths, at, **options), as_json)
        return
    report, _ = execute(workspace, model, paths, keep=False, **options)
    emit(report.rows, as_json, lambda: terminal.show(report))
    end_with(report)


def _self_test(as_json: bool) -> None:
    from dataclasses import asdict

    from pipelines.loadtest.display import Display
    from pipelines.loadtest.selftest import calibrate

    with Display("self-test") as display:
        checks = calibrate(say=display.say)
    passed = all(check.passed for check in checks)

    def text() -> None:
        for check in checks:
            truth = f"truth {check.truth:.6g}, " if check.truth is not None else ""
            mark = "pass" if check.passed else "FAIL"
            click.echo(
                f"{mark}  {check.transport:<5} {check.name:<18} {check.measured:<10.6g} {truth}limit {check.limit:.4g}"
            )
        click.echo("the instrument is right" if passed else "the instrument is not right on this machine now")

    rows = [{**asdict(check), "passed": check.passed} for check in checks]
    emit({"passed": passed, "checks": rows}, as_json, text)
    if not passed:
        sys.exit(1)
