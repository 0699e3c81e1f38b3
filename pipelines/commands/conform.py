"""``slipway conform``: runs the cases of TF Serving's API against a server, slipway's own or Google's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pipelines.base.errors import MissingExtra, UserError
from pipelines.commands.base import command, emit
from serving.extras import install_command

IMAGE = "tensorflow/serving:2.20.0"
REACH_S = 10.0
FLAGS = ("--allow_version_labels_for_unavailable_models=true", "--rest_api_enable_cors_support=true")
"""The flags that a server needs besides its files for every case to pass."""


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One case: ``status`` is ok, failed or skipped; ``reason`` says what was wrong, or why it was skipped."""

    id: str
    status: str
    reason: str = ""


@command(
    "conform",
    "conform --write-models DIR",
    "conform --rest http://127.0.0.1:8501 --grpc 127.0.0.1:8500",
    "conform --rest http://127.0.0.1:8501 --grpc 127.0.0.1:8500 A9 K3",
)
@click.argument("cases", nargs=-1, metavar="[CASE]...")
@click.option("--rest", metavar="URL", help="The server's REST API.")
@click.option("--grpc", "grpc_target", metavar="HOST:PORT", help="The server's gRPC API.")
@click.option(
    "--write-models",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the models and the configuration files for a server to test, and exit.",
)
@click.option(
    "--mounted-at",
    type=click.Path(path_type=Path),
    help="With --write-models: the path of that folder on the server, for example in a container.",
)
def conform_command(
    workspace: Any,  # noqa: ARG001 - every command gets it
    cases: tuple[str, ...],
    rest: str | None,
    grpc_target: str | None,
    folder: Path | None,
    mounted_at: Path | None,
    as_json: bool,
) -> None:
    """Run the cases of TF Serving's API against a server, and say which answers differ.

    The server must serve the models that --write-models writes.
    """
    if folder is not None:
        _write(folder, mounted_at, as_json)
        return
    if not rest or not grpc_target:
        raise UserError(f"give both --rest and --grpc. Received: --rest {rest} --grpc {grpc_target}")
    if not rest.startswith(("http://", "https://")):
        raise UserError(f"--rest takes a URL such as http://127.0.0.1:8501. Received: {rest}")
    rows = list(_rows(rest, grpc_target.removeprefix("grpc://"), [case.upper() for case in cases]))
    counts = {status: sum(row.status == status for row in rows) for status in ("ok", "failed", "skipped")}
    emit({"cases": [_plain(row) for row in rows], "counts": counts}, as_json, lambda: _show(rows, counts))
    if counts["failed"]:
        sys.exit(1)


def _rows(rest: str, grpc_target: str, only: list[str]) -> Iterator[CaseRow]:
    from serving.conformance.catalogue import CASES, ELSEWHERE, IDS
    from serving.conformance.run import connect, run_case

    for number in only:
        if number not in IDS:
            raise UserError(f"unknown case. Received: {number}. Known: {', '.join(IDS)}.")
    known = {case.id: case for case in CASES}
    try:
        with connect(rest, grpc_target) as target:
            _check_reachable(target)
            for number in only or IDS:
                if number in ELSEWHERE:
                    yield CaseRow(number, "skipped", ELSEWHERE[number])
                    continue
                try:
                    problem = run_case(known[number], target)
                except OSError as error:
                    problem = f"no answer: {error}"
                yield CaseRow(number, "failed" if problem else "ok", problem)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{error.name} is not installed. Run: {install_command('tf-serving')}") from error


def _check_reachable(target: Any) -> None:
    import urllib.error

    import grpc

    from serving.conformance.case import Rest
    from serving.conformance.run import ask

    try:
        ask(Rest("/v1/models/half_plus_two"), target.rest)
    except OSError as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise UserError(f"nothing answers over REST: {reason}. Received: {target.rest}") from error
    try:
        grpc.channel_ready_future(target.channel).result(timeout=REACH_S)
    except grpc.FutureTimeoutError as error:
        raise UserError(f"nothing answers over gRPC within {REACH_S:.0f} s; check the address in --grpc") from error


def _write(folder: Path, mounted_at: Path | None, as_json: bool) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"--write-models needs an empty folder. Received: {folder}")
    try:
        from serving.conformance.write import MODELS_FILE, MONITORING_FILE, write_models

        write_models(folder, mounted_at)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{error.name} is not installed. Run: {install_command('tf-serving')}") from error
    seen = mounted_at or folder.absolute()
    files = (f"--model_config_file={seen / MODELS_FILE}", f"--monitoring_config_file={seen / MONITORING_FILE}")
    flags = [*files, *FLAGS]

    def show() -> None:
        click.echo(f"wrote the models and their configuration to {folder}; start a server with")
        if mounted_at is None:
            click.echo("  python -m serving.tf_serving --rest_api_port=8501 " + " ".join(flags))
            click.echo("or, for a container, write them again with --mounted-at /conformance")
        else:
            mount = f"-v {folder.absolute()}:{mounted_at}:ro"
            ports = "-p 127.0.0.1:8500:8500 -p 127.0.0.1:8501:8501"
            click.echo(f"  docker run --rm {ports} {mount} {IMAGE} " + " ".join(flags))
        click.echo("and test it with\n  slipway conform --rest http://127.0.0.1:8501 --grpc 127.0.0.1:8500")

    emit({"folder": str(folder), "flags": flags}, as_json, show)


def _plain(row: CaseRow) -> dict[str, str]:
    return {"id": row.id, "status": row.status, "reason": row.reason}


def _show(rows: list[CaseRow], counts: dict[str, int]) -> None:
    for row in rows:
        click.echo(f"{row.id:<4} {row.status:<8} {row.reason}".rstrip())
    click.echo(", ".join(f"{count} {status}" for status, count in counts.items()))
