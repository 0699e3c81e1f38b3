"""The options of commands that take a user's model file in the place of a model's name."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from pipelines.base.errors import UserError

FILE = click.Path(path_type=Path)
OPTIONS = (
    click.option(
        "--inputs", "samples", type=FILE, help="Samples of your file's inputs, .npz: some to calibrate, some to judge."
    ),
    click.option("--labels", type=FILE, help="The names of your file's classes, one a line."),
    click.option("--spec", type=FILE, help="What your file does not say, in TOML: docs/your-model.md."),
    click.option("--name", help="A name for your file (default: the file's own)."),
    click.option(
        "--allow-code",
        is_flag=True,
        help="Take a file that runs code, or reaches for files or the network. Only if you trust its maker.",
    ),
)


def own_file(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options, and give the command the name under which its file was taken into the workspace."""

    @wraps(function)
    def call(
        workspace: Any,
        model: str,
        rebuild: bool,
        samples: Path | None,
        labels: Path | None,
        spec: Path | None,
        name: str | None,
        allow_code: bool,
        **chosen: Any,
    ) -> Any:
        given = {"--inputs": samples, "--labels": labels, "--spec": spec, "--name": name, "--allow-code": allow_code}
        said = {"samples": samples, "labels": labels, "spec": spec, "name": name, "allow_code": allow_code}
        options = [option for option, value in given.items() if value]
        known = _taken(workspace, model, options, said, rebuild=rebuild, resume=chosen.get("resume", False))
        return function(workspace, model=known, rebuild=rebuild, **chosen)

    for option in reversed(OPTIONS):
        option(call)
    return call


def _taken(workspace: Any, word: str, given: list[str], said: dict[str, Any], *, rebuild: bool, resume: bool) -> str:
    """Return the name of a model; a file is taken first. Raises UserError."""
    from pipelines.artifacts.named import models_in
    from pipelines.run.own.take import OwnFile, is_file, name_for, take

    # A folder may have the name under which it was taken before.
    if not is_file(word) or (word in models_in(workspace) and not given):
        if given:
            raise UserError(f"{', '.join(given)}: only for a file of your own. Received: the model {word}")
        return word
    from pipelines.base.progress import Steps
    from pipelines.run.prepare import Context

    own = OwnFile(Path(word), **said)
    name = name_for(own)
    if resume:  # what was said when it was taken still holds
        return name
    workspace.check_writable()
    context = Context(workspace, workspace.artifacts / name / "logs" / "take", rebuild)
    with Steps() as steps, steps.step(f"take {word} as {name}") as step:
        return take(context, own, step.say)
