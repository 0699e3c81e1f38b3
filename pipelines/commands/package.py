"""``slipway package`` and ``slipway verify``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pipelines.commands.base import command, emit, exit_for, finite, model_and_paths, plain
from pipelines.commands.own_options import own_file
from pipelines.report import numbers


def _prepare(
    workspace: Any, model: str, words: Sequence[str], name: str, rebuild: bool, atol: float | None
) -> list[Any]:
    """Package and verify; return the rows, and show the progress on standard error."""
    from pipelines.artifacts.named import title_of
    from pipelines.base.progress import Steps
    from pipelines.paths.choose import choose
    from pipelines.run.making import prepare
    from pipelines.run.prepare import ensure_trained, open_context

    choices = choose(words)
    context = open_context(workspace, model, name, rebuild)
    rows = []
    with Steps() as steps:
        with steps.step(title_of(model)) as step:
            loaded, training = ensure_trained(replace(context, rebuild=False), model, tell=step.say)
            step.end("cached" if training.cached else "ok")
        for choice in choices:
            with steps.step(f"package and verify {choice.name}") as step:
                row, _ = prepare(context, loaded, choice, atol)
                step.end("cached" if row.cached else row.status, row.reason or "")
            rows.append(row)
    return rows


def _release(workspace: Any, model: str, rows: Sequence[Any]) -> dict[str, int]:
    """Release each valid artifact; return the numbers of the releases."""
    from pipelines.artifacts.artifact import PAYLOAD
    from pipelines.artifacts.release import release

    released = {}
    for row in rows:
        if row.status == "ok":
            payload = workspace.artifact(model, row.path, row.variant) / PAYLOAD
            base = workspace.releases(model, row.path, row.variant)
            released[f"{row.path}:{row.variant}"] = release(payload, base, model)
    return released


@command(
    "package",
    "package mnist_cnn",
    "package mnist_cnn litert:int8 onnxruntime",
    "package mnist_cnn --release",
    "package model.onnx openvino --name mine",
)
@model_and_paths
@own_file
@click.option("--rebuild", is_flag=True, help="Build even if nothing has changed.")
@click.option(
    "--release",
    is_flag=True,
    help="Copy artifacts to artifacts/MODEL/PATH/releases/VARIANT/NUMBER, a changed one to the next number.",
)
@click.option("--expect", type=click.Path(dir_okay=False, path_type=Path), help="A manifest.json to compare with.")
def package_command(
    workspace: Any, model: str, paths: tuple[str, ...], rebuild: bool, release: bool, expect: Path | None, as_json: bool
) -> None:
    """Package a model, or a file of your own, through the named paths, or all, and verify each artifact."""
    from pipelines.artifacts.artifact import differences, read_manifest
    from pipelines.report.lines import tried
    from serving.container.releases import pinned

    expected = read_manifest(expect) if expect else None
    rows = _prepare(workspace, model, paths, "package", rebuild, None)
    changed = [line for row in rows if expected for line in differences(expected, row)]
    released = _release(workspace, model, rows) if release else {}

    def text() -> None:
        for row in rows:
            what = row.folder or numbers.plain(row.reason or "")
            click.echo(f"{row.path}:{row.variant}  {row.status}  {row.size_bytes or 0:,} bytes  {what}")
            for line in tried(row):
                click.echo(f"    {line}")
        for name, number in released.items():
            served = pinned(workspace.releases(model, *name.split(":")))
            then = "" if number == served else f"; {served} is served until: slipway rollout {name}"
            click.echo(f"{name}  release {number}{then}")
        if expected:
            click.echo("\n".join(changed) or f"the same as {expect}, file by file")

    emit({"artifacts": plain(rows), "differences": changed, "released": released}, as_json, text)
    exit_for(rows)
    if changed:
        sys.exit(1)


@command("verify", "verify mnist_cnn", "verify mnist_cnn litert --tolerance 0.5")
@model_and_paths
@click.option(
    "--tolerance",
    callback=finite,
    type=click.FloatRange(min=0),
    help="Largest allowed absolute difference of an output.",
)
def verify_command(workspace: Any, model: str, paths: tuple[str, ...], tolerance: float | None, as_json: bool) -> None:
    """Compare artifacts with the reference; writes each certificate.json. Exit code 1 if one fails."""
    rows = _prepare(workspace, model, paths, "verify", False, tolerance)

    def text() -> None:
        for row in rows:
            certificate = row.certificate
            if certificate is None:
                click.echo(f"{row.path}:{row.variant}  {row.status}  {row.reason}")
                continue
            shares = {"top-1": certificate.top1, "right answers": certificate.accuracy}
            known = [f"{name} {share:.2%}" for name, share in shares.items() if share is not None]
            proof = ", ".join([numbers.nearness(certificate), *known])
            click.echo(f"{row.path}:{row.variant}  {row.status}  {proof}")
            for breach in certificate.breaches:
                click.echo(f"    {breach}")

    emit(rows, as_json, text)
    exit_for(rows)
