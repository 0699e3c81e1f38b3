"""What the longer commands do, apart from their words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from pipelines import reference
from pipelines.errors import SlipwayError, UserError, unknown
from pipelines.images import read_input
from pipelines.progress import Steps
from pipelines.run import SCENARIOS, Options, Run
from pipelines.select import choose, choose_one, spec_named
from pipelines.served import ask, flavour_for, server_module, softmax, started
from pipelines.stages import REFERENCE
from pipelines.steps import Context, ensure_trained, ready_artifact
from pipelines.worker import run_stage
from pipelines.workspace import Workspace, link, scratch
from serving.clients import ProtocolError, Target
from serving.clients.transport import Unreachable
from serving.launch import LaunchError, PortInUse

if TYPE_CHECKING:
    from models.spec import ModelSpec
    from pipelines.results import Report
    from pipelines.select import Choice
    from serving.launch import Server


Named = tuple[str, dict[str, np.ndarray], str | None]
"""What an input is called, its arrays, its true label where known."""


def open_context(workspace: Workspace, model: str, name: str, rebuild: bool = False) -> Context:
    """A Context that logs under artifacts/MODEL/logs/NAME. Raises UserError."""
    spec_named(model)
    workspace.check_writable()
    return Context(workspace, workspace.artifacts / model / "logs" / name, rebuild)


def serve(workspace: Workspace, model: str, path: str, as_json: bool, **options: Any) -> None:
    """Serve a path in the foreground until Ctrl-C. Raises UserError or SlipwayError."""
    choice = choose_one(path)
    server_module(choice.card, options["flavour"])
    context = open_context(workspace, model, "serve")
    with ExitStack() as stack:
        workdir = stack.enter_context(scratch("serve"))
        try:
            with Steps() as steps:
                with steps.step(f"package and verify {choice.name}"):
                    _, artifact = ready_artifact(context, model, choice)
                with steps.step(f"start the server of {choice.name}"):
                    server = stack.enter_context(started(choice.card, artifact, workdir, **options))
            _announce(server, choice, workdir, as_json)
            server.process.wait()
            raise SlipwayError(server.describe(f"{server.recipe.server} ended by itself ({server.exit_text()})"))
        except PortInUse as error:
            raise UserError(str(error)) from error
        except LaunchError as error:
            raise SlipwayError(str(error)) from error
        except KeyboardInterrupt:
            click.echo("stopping", err=True)


def _announce(server: Server, choice: Choice, workdir: Path, as_json: bool) -> None:
    token_file = None
    token = server.recipe.token()
    if token is not None:
        token_file = workdir / "token"
        token_file.touch(mode=0o600)
        token_file.write_text(token)
    endpoints = dict(server.recipe.endpoints)
    if as_json:
        facts = {"server": server.recipe.server, "endpoints": endpoints, "token_file": token_file and str(token_file)}
        click.echo(json.dumps({**facts, "pid": server.pid}))
        return
    click.echo(f"{server.recipe.server} serves {choice.name}; Ctrl-C stops it")
    auth = f" --token-file {token_file}" if token_file else ""
    for protocol, url in endpoints.items():
        click.echo(f"  {protocol}  {url}")
        click.echo(f"    slipway predict {choice.name} --from-test-set 0 --url {url}{auth}")


def predict(
    workspace: Workspace,
    model: str,
    path: str,
    inputs: Sequence[str],
    rows: Sequence[int],
    url: str | None,
    token_file: Path | None,
    resize: bool,
    top: int,
) -> list[dict[str, Any]]:
    """One answer a row of input: its name, its most probable labels, the truth where known.

    Raises UserError for inputs, addresses or paths that do not fit; SlipwayError when a server refuses.
    """
    choice, spec = choose_one(path), spec_named(model)
    protocol = _protocol_for(choice, url) if url else None
    if not inputs and not rows:
        raise UserError("nothing to predict. Name a picture, an .npy file or -, or use --from-test-set N.")
    named: list[Named] = [(source, read_input(source, spec, resize), None) for source in inputs]
    if rows:
        named += _test_rows(open_context(workspace, model, "predict"), model, rows)
    if url is None or protocol is None:
        outputs = _in_process(workspace, model, choice, [arrays for _, arrays, _ in named])
    else:
        outputs = _over_the_wire(protocol, url, spec, token_file, [arrays for _, arrays, _ in named])
    answers = []
    for (source, _, truth), result in zip(named, outputs, strict=True):
        probabilities = softmax(next(iter(result.values())))
        for index, row in enumerate(probabilities):
            best = np.argsort(-row)[:top]
            answers.append(
                {
                    "input": source if len(probabilities) == 1 else f"{source}[{index}]",
                    "labels": [{"label": spec.labels[i], "probability": float(row[i])} for i in best],
                    "truth": truth,
                }
            )
    return answers


def _protocol_for(choice: Choice, url: str) -> str:
    scheme, separator, _ = url.partition("://")
    kinds = {"http": False, "grpc": True}
    if not separator or scheme not in kinds:
        raise UserError(f"--url takes http://HOST:PORT or grpc://HOST:PORT. Received: {url}")
    for protocol in choice.card.protocols:
        if protocol.endswith("-grpc") == kinds[scheme]:
            return protocol
    raise UserError(f"{choice.card.name} has no server: {choice.card.no_server}. Leave --url out.")


def _test_rows(
    context: Context, model: str, rows: Sequence[int]
) -> list[tuple[str, dict[str, np.ndarray], str | None]]:
    with Steps() as steps, steps.step(f"train {model}") as step:
        loaded, training = ensure_trained(context, model)
        step.end("cached" if training.cached else "ok")
    known = reference.read(loaded.weights.parent / REFERENCE)
    count = len(known.labels)
    for row in rows:
        if row >= count:
            raise UserError(f"the test data has rows 0 to {count - 1}. Received: {row}")
    inputs = known.inputs["evaluation"]
    return [
        (
            f"test row {row}",
            {name: array[row : row + 1] for name, array in inputs.items()},
            loaded.spec.labels[int(known.labels[row])],
        )
        for row in rows
    ]


def _in_process(
    workspace: Workspace, model: str, choice: Choice, batches: list[dict[str, np.ndarray]]
) -> list[dict[str, np.ndarray]]:
    context = open_context(workspace, model, "predict")
    with Steps() as steps, scratch("predict") as folder:
        with steps.step(f"package and verify {choice.name}"):
            _, artifact = ready_artifact(context, model, choice)
        with steps.step(f"predict with {choice.name} in process"):
            joined = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
            source, result = folder / "inputs.npz", folder / "outputs.npz"
            reference.save_arrays(source, joined)
            request = {
                "path": choice.card.name,
                "payload": str(artifact.payload),
                "inputs": str(source),
                "outputs": str(result),
            }
            run_stage("predict", request, context.log(f"predict-{choice.name}"), context.cancel, threads=1)
        with np.load(result, allow_pickle=False) as file:
            outputs = {name: file[name] for name in file.files}
    ends = np.cumsum([len(next(iter(batch.values()))) for batch in batches])[:-1]
    parts = {name: np.split(array, ends) for name, array in outputs.items()}
    return [{name: part[index] for name, part in parts.items()} for index in range(len(batches))]


def _over_the_wire(
    protocol: str, url: str, spec: ModelSpec, token_file: Path | None, batches: list[dict[str, np.ndarray]]
) -> list[dict[str, np.ndarray]]:
    token = token_file.read_text().strip() if token_file else None
    target = Target(url, spec.name, {tensor.name: tensor.dtype for tensor in spec.outputs}, token)
    try:
        return [ask(protocol, target, batch) for batch in batches]
    except Unreachable as error:
        raise UserError(f"no server answers: {error}. Start one with: slipway serve PATH") from error
    except ProtocolError as error:
        raise SlipwayError(f"the server at {url} refused over {protocol}: {error}") from error


def run(
    workspace: Workspace,
    model: str,
    words: Sequence[str],
    keep: bool,
    *,
    duration: float,
    rate: float | None,
    threads: int,
    server: str | None,
    scenarios: tuple[str, ...],
    tolerance: float | None = None,
    framework: str | None = None,
    rebuild: bool = False,
    jobs: int = 1,
) -> Report:
    """Run the pipeline; with ``keep``, into a folder of its own below reports/MODEL, linked as ``latest``."""
    from pipelines import report as faces

    choices = choose(words)
    for name in scenarios:
        if name not in SCENARIOS:
            raise unknown("scenario", name, SCENARIOS)
    if server is not None and not any(flavour_for(choice.card, server) for choice in choices):
        for choice in choices:
            server_module(choice.card, server)  # raises, with the nearest names
    context = open_context(workspace, model, "loadtest", rebuild)
    folder = _new_folder(workspace, model) if keep else None
    if folder is not None:
        context = Context(workspace, folder / "logs", rebuild, context.cancel)
    options = Options(
        seconds_per_row=duration,
        rate_per_s=rate,
        threads=threads,
        jobs=jobs,
        atol=tolerance,
        server=server,
        scenarios=tuple(name for name in SCENARIOS if name in scenarios) or SCENARIOS,
        framework=framework,
    )
    with Steps() as steps:
        running = Run(context, spec_named(model), choices, options, steps)
        running.execute()
        report = running.report()
    if folder is not None:
        faces.write_all(report, folder)
        link(workspace.reports(model) / "latest", folder)
    return report


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


def reread(workspace: Workspace, model: str, name: str) -> tuple[Report, Path]:
    """A run's report and its folder. Raises UserError, with the nearest names, when there is none."""
    from pipelines.report import json_face

    spec_named(model)
    base = workspace.reports(model)
    folder = base / name
    if not (folder / "report.json").exists():
        known = sorted(path.parent.name for path in base.glob("*/report.json"))
        if not known:
            raise UserError(f"no report of {model} in {base}. Run: slipway run {model}")
        raise unknown(f"run of {model}", name, known)
    return json_face.read(folder / "report.json"), folder.resolve()
