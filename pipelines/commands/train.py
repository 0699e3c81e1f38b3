"""``slipway train``."""

from __future__ import annotations

from typing import Any

import click

from models import FRAMEWORKS
from pipelines.commands.base import command, emit


@command("train", "train mnist_cnn", "train mnist_cnn --framework tensorflow")
@click.argument("model")
@click.option(
    "--framework",
    type=click.Choice(FRAMEWORKS),
    default=FRAMEWORKS[0],
    show_default=True,
    help="The framework that trains; it is the reference.",
)
@click.option("--epochs", type=click.IntRange(1, 10_000), help="Number of epochs (default: the recipe's).")
@click.option("--rebuild", is_flag=True, help="Train even if nothing has changed.")
def train_command(workspace: Any, model: str, framework: str, epochs: int | None, rebuild: bool, as_json: bool) -> None:
    """Train a model, or fetch its published weights, into artifacts/MODEL/trained.

    Of a training, that folder has TensorBoard logs, too.
    """
    from pipelines.base.progress import Steps
    from pipelines.run.prepare import HowTrained, ensure_trained, open_context

    with Steps() as steps, steps.step(f"train {model}") as step:
        context = open_context(workspace, model, "train", rebuild)
        _, training = ensure_trained(context, model, HowTrained(framework, epochs), step.say)
        step.end("cached" if training.cached else "ok")

    def text() -> None:
        click.echo(f"{model}: {training.origin}")
        click.echo(f"  weights sha256 {training.weights_sha256}\n  in {workspace.trained(model)}")

    emit(training, as_json, text)
