"""The commands, thin: read words, call the pipeline, print. No framework is imported here."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Any

import click

from pipelines.errors import SlipwayError, UserError

EXAMPLES = "\n\n\b\nExamples:\n"
WORKSPACE = Path()


class Commands(click.Group):
    """Unknown commands get click's own suggestions; every error of ours is one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SlipwayError as error:
            fail(error, error.exit_code)
        except KeyboardInterrupt:
            fail(SlipwayError("interrupted; everything that was started has been stopped"), 130)
        except OSError as error:
            # A full disk, a folder that went away: the user's to mend, and no bug of ours.
            fail(UserError(f"{error.strerror or error}: {error.filename or ctx.obj.root}"), 2)


def fail(error: Exception, code: int) -> None:
    click.echo(f"slipway: {error}", err=True)
    sys.exit(code)


def command(name: str, *examples: str, paths: bool = True) -> Callable[..., Any]:
    """A command with MODEL, optional PATHS, ``--json`` and examples under its help."""

    def wrap(function: Callable[..., Any]) -> click.Command:
        lines = "\n".join(f"  slipway {example}" for example in examples)
        text = f"{function.__doc__}{EXAMPLES}{lines}"
        decorated = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")(function)
        if paths:
            decorated = click.argument("paths", nargs=-1, metavar="[PATH[:VARIANT]]...")(decorated)
            decorated = click.argument("model")(decorated)
        return main.command(name, help=text)(click.pass_obj(decorated))

    return wrap


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--workspace",
    type=click.Path(file_okay=False, path_type=Path),
    default=WORKSPACE,
    envvar="SLIPWAY_WORKSPACE",
    show_default="the current folder",
    help="Where artifacts/ and reports/ are kept.",
)
@click.version_option(package_name="slipway")
@click.pass_context
def main(ctx: click.Context, workspace: Path) -> None:
    """Every production path of one trained model: packaged, proved equal, served, load-tested, weighed.

    \b
    Exit codes: 0 all well; 1 a parity check, a server or a load test failed; 2 a mistake in what was
    asked for; 130 interrupted.
    """
    from pipelines.workspace import Workspace

    # A supervisor's SIGTERM is handled as Ctrl-C is: servers stopped, workers ended, nothing left.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    ctx.obj = Workspace(workspace.absolute())


def emit(value: Any, as_json: bool, text: Callable[[], None]) -> None:
    """Print JSON for programs, or call ``text`` for people."""
    if as_json:
        click.echo(json.dumps(plain(value), indent=2, allow_nan=False))
    else:
        text()


def plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


@command("list", "list", "list --json", paths=False)
def list_command(_workspace: Any, as_json: bool) -> None:
    """Show the models, and the paths with their variants, servers and what they need."""
    from models import MODELS
    from pipelines.paths import PATHS, path_module
    from pipelines.select import spec_named
    from pipelines.steps import pip_command

    models = [{"name": name, "title": spec_named(name).title} for name in MODELS]
    cards = [path_module(name).CARD for name in PATHS]
    paths = [
        {
            "name": card.name,
            "title": card.title,
            "framework": card.framework,
            "variants": {name: variant.summary for name, variant in card.variants.items()},
            "protocols": list(card.protocols),
            "no_server": card.no_server or None,
            "missing": card.missing(),
            "install": pip_command(card.extra) if card.missing() else None,
        }
        for card in cards
    ]

    def text() -> None:
        for model in models:
            click.echo(f"model {model['name']}: {model['title']}")
        for card in cards:
            click.echo(f"\n{card.name}  {card.title}, from {card.framework}")
            for name, variant in card.variants.items():
                click.echo(f"  {card.name}:{name}  {variant.summary}")
            click.echo(f"  served over: {', '.join(card.protocols) or card.no_server}")
            if card.missing():
                click.echo(f"  not installed: {', '.join(card.missing())}; {pip_command(card.extra)}")

    emit({"models": models, "paths": paths}, as_json, text)


@command("train", "train mnist_cnn", "train mnist_cnn --framework tensorflow", paths=False)
@click.argument("model")
@click.option("--framework", type=click.Choice(["pytorch", "tensorflow"]), help="Whose training loop: the reference.")
@click.option("--epochs", type=click.IntRange(1, 10_000), help="Instead of the recipe's number.")
@click.option("--rebuild", is_flag=True, help="Train even if nothing has changed.")
def train_command(
    workspace: Any, model: str, framework: str | None, epochs: int | None, rebuild: bool, as_json: bool
) -> None:
    """Train a model; its weights, training.json and TensorBoard logs go to artifacts/MODEL/trained."""
    from pipelines.commands import open_context
    from pipelines.progress import Steps
    from pipelines.steps import ensure_trained

    with Steps() as steps, steps.step(f"train {model}") as step:
        context = open_context(workspace, model, "train", rebuild)
        _, training = ensure_trained(context, model, framework, epochs)
        step.end("cached" if training.cached else "ok")

    def text() -> None:
        click.echo(f"{model}: trained in {training.framework}, test accuracy {training.test_accuracy:.2%}")
        click.echo(f"  weights sha256 {training.weights_sha256}\n  in {workspace.trained(model)}")

    emit(training, as_json, text)


def _prepare(
    workspace: Any, model: str, words: Sequence[str], name: str, rebuild: bool, atol: float | None
) -> list[Any]:
    """Package and verify: the rows, with progress on standard error."""
    from pipelines.commands import open_context
    from pipelines.progress import Steps
    from pipelines.select import choose
    from pipelines.steps import ensure_trained, prepare

    choices = choose(words)
    context = open_context(workspace, model, name, rebuild)
    rows = []
    with Steps() as steps:
        with steps.step(f"train {model}") as step:
            loaded, training = ensure_trained(replace(context, rebuild=False), model)
            step.end("cached" if training.cached else "ok")
        for choice in choices:
            with steps.step(f"package and verify {choice.name}") as step:
                row, _ = prepare(context, loaded, choice, atol)
                step.end("cached" if row.cached else row.status, row.reason or "")
            rows.append(row)
    return rows


def _exit_for(rows: Sequence[Any]) -> None:
    if any(row.status == "failed" for row in rows):
        sys.exit(1)


@command("package", "package mnist_cnn", "package mnist_cnn litert:int8 onnxruntime")
@click.option("--rebuild", is_flag=True, help="Build even if nothing has changed.")
@click.option("--expect", type=click.Path(dir_okay=False, path_type=Path), help="A manifest.json to compare with.")
def package_command(
    workspace: Any, model: str, paths: tuple[str, ...], rebuild: bool, expect: Path | None, as_json: bool
) -> None:
    """Package a model through the paths named, or all, and verify each artifact."""
    from pipelines.artifact import differences, read_manifest

    expected = read_manifest(expect) if expect else None
    rows = _prepare(workspace, model, paths, "package", rebuild, None)
    changed = [line for row in rows if expected for line in differences(expected, row)]

    def text() -> None:
        for row in rows:
            click.echo(
                f"{row.path}:{row.variant}  {row.status}  {row.size_bytes or 0:,} bytes  {row.folder or row.reason}"
            )
        if expected:
            click.echo("\n".join(changed) or f"the same as {expect}, file by file")

    emit({"artifacts": plain(rows), "differences": changed}, as_json, text)
    _exit_for(rows)
    if changed:
        sys.exit(1)


@command("verify", "verify mnist_cnn", "verify mnist_cnn litert --tolerance 0.5")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    help="Largest absolute difference of an output.",
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
            click.echo(
                f"{row.path}:{row.variant}  {row.status}  max abs difference {certificate.max_abs:.2e} (tolerance "
                f"{certificate.atol:g}, {certificate.tolerance_source}), top-1 {certificate.top1:.2%}, "
                f"accuracy {certificate.accuracy:.2%}"
            )
            for breach in certificate.breaches:
                click.echo(f"    {breach}")

    emit(rows, as_json, text)
    _exit_for(rows)


@command("serve", "serve tf-serving", "serve torchserve --rest-port 8080", paths=False)
@click.argument("path", metavar="PATH[:VARIANT]")
@click.option("--model", default="mnist_cnn", show_default=True)
@click.option("--rest-port", type=click.IntRange(1, 65535), help="A free one if left out.")
@click.option("--grpc-port", type=click.IntRange(1, 65535), help="A free one if left out.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--server", help="Another server of this path, for example native.")
@click.option(
    "--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="Compute threads of one prediction."
)
def serve_command(
    workspace: Any,
    path: str,
    model: str,
    rest_port: int | None,
    grpc_port: int | None,
    host: str,
    server: str | None,
    threads: int,
    as_json: bool,
) -> None:
    """Start the server of a path, wait until it can predict, and keep it until Ctrl-C."""
    from pipelines.commands import serve

    serve(
        workspace,
        model,
        path,
        as_json,
        rest_port=rest_port,
        grpc_port=grpc_port,
        host=host,
        flavour=server,
        threads=threads,
    )


@command(
    "predict",
    "predict litert digit.png",
    "predict onnxruntime --from-test-set 3",
    "predict tf-serving digit.png --url grpc://127.0.0.1:8500",
    "predict torchserve - --url http://127.0.0.1:8080 --token-file key.txt < digit.npy",
    paths=False,
)
@click.argument("path", metavar="PATH[:VARIANT]")
@click.argument("inputs", nargs=-1, metavar="[PICTURE|ARRAY.npy|-]...")
@click.option("--model", default="mnist_cnn", show_default=True)
@click.option(
    "--from-test-set",
    type=click.IntRange(0),
    multiple=True,
    metavar="N",
    help="Row N of the test data; may be repeated.",
)
@click.option("--url", help="A running server: http://HOST:PORT or grpc://HOST:PORT. Without it, predicted in process.")
@click.option(
    "--token-file", type=click.Path(dir_okay=False, path_type=Path), help="A file with the server's bearer token."
)
@click.option("--resize", is_flag=True, help="Fit a picture of another size.")
@click.option("--top", type=click.IntRange(1), default=1, show_default=True, help="How many labels to print.")
def predict_command(
    workspace: Any,
    path: str,
    inputs: tuple[str, ...],
    model: str,
    from_test_set: tuple[int, ...],
    url: str | None,
    token_file: Path | None,
    resize: bool,
    top: int,
    as_json: bool,
) -> None:
    """Print label and probability for pictures, arrays or rows of the test data."""
    from pipelines.commands import predict

    answers = predict(workspace, model, path, inputs, from_test_set, url, token_file, resize, top)

    def text() -> None:
        for answer in answers:
            best = "  ".join(f"{item['label']} {item['probability']:.2%}" for item in answer["labels"])
            truth = f"  (truth: {answer['truth']})" if answer["truth"] is not None else ""
            click.echo(f"{answer['input']}: {best}{truth}")

    emit(answers, as_json, text)


_LOAD_OPTIONS = (
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


def _load_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What ``run`` and ``loadtest`` share."""
    for option in reversed(_LOAD_OPTIONS):
        function = option(function)
    return function


@command(
    "loadtest",
    "loadtest mnist_cnn onnxruntime",
    "loadtest mnist_cnn litert --scenario server --rate 100",
)
@_load_options
def loadtest_command(workspace: Any, model: str, paths: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Load-test the paths named, or all, in process and over every protocol. Exit code 1 if one fails."""
    from pipelines.commands import run

    report = run(workspace, model, paths, keep=False, **options)

    def text() -> None:
        from pipelines.report import terminal

        terminal.show(report)

    emit(report.rows, as_json, text)
    _end(report)


@command("run", "run mnist_cnn", "run mnist_cnn litert tf-serving:fp32 --duration 10")
@_load_options
@click.option("--tolerance", type=click.FloatRange(min=0), help="Largest absolute difference of an output.")
@click.option(
    "--framework", type=click.Choice(["pytorch", "tensorflow"]), help="Whose training loop, and so the reference."
)
@click.option("--rebuild", is_flag=True, help="Train, package and verify even if nothing has changed.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="How many artifacts are built side by side.",
)
def run_command(workspace: Any, model: str, paths: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Package, verify, serve, query, load-test and report every path. Exit code 1 if one fails."""
    from pipelines.commands import run

    report = run(workspace, model, paths, keep=True, **options)

    def text() -> None:
        from pipelines.report import terminal

        terminal.show(report)
        click.echo(f"report: {workspace.reports(model) / 'latest' / 'report.html'}")

    emit(report, as_json, text)
    _end(report)


def _end(report: Any) -> None:
    if report.interrupted:
        click.echo("slipway: interrupted; everything that was started has been stopped", err=True)
        sys.exit(130)
    _exit_for([*report.artifacts, *report.rows])


@command("report", "report mnist_cnn", "report mnist_cnn --run 20260131T120000Z --json", paths=False)
@click.argument("model")
@click.option("--run", "run_name", default="latest", show_default=True, help="The folder below reports/MODEL.")
def report_command(workspace: Any, model: str, run_name: str, as_json: bool) -> None:
    """Show a run's report again, and write its report.html anew from report.json."""
    from pipelines.commands import reread
    from pipelines.report import html_face, terminal

    report, folder = reread(workspace, model, run_name)
    html_face.write(report, folder / "report.html")

    def text() -> None:
        terminal.show(report)
        click.echo(f"report: {folder / 'report.html'}")

    emit(report, as_json, text)
