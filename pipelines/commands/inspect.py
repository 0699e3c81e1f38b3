"""``slipway inspect``: says what is in a model file, and what can become of it, without running it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.commands.base import command, emit

if TYPE_CHECKING:
    from models.files import FileFacts
    from models.spec import TensorSpec
    from pipelines.paths.ways import Prospect

MOST_OPERATORS = 12
MOST_TENSORS = 20


@command(
    "inspect",
    "inspect model.keras",
    "inspect exported_model/",
    "inspect model.onnx --json",
    "inspect own.keras --allow-code",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--allow-code",
    is_flag=True,
    help="Take a file that runs code, or reaches for files or the network, when loaded. Only if you trust its maker.",
)
def inspect_command(workspace: Any, file: Path, allow_code: bool, as_json: bool) -> None:  # noqa: ARG001
    """Say what is in a model file, and which paths can be made of it.

    FILE is a .keras file, the folder of a SavedModel, a .pt2 file of torch.export, or an .onnx file. Nothing in it is
    run and no framework is loaded: it is read in a process with limits, without network.
    """
    from models.files.plain import plain
    from pipelines.stages.user_file import read_user_file

    read = read_user_file(file, allow_code=allow_code)

    from pipelines.paths.ways import prospects  # the cards of all paths: not for a file that is refused

    found = prospects(read.facts)
    value = {"file": str(file), **plain(read.facts), "held": read.held, "prospects": [asdict(one) for one in found]}

    def text() -> None:
        from models.files import printable

        for line in (*_about(file, read.facts), f"read with {', '.join(read.held)}", "", *_paths(found)):
            click.echo(printable(line))

    emit(value, as_json, text)


def _about(file: Path, facts: FileFacts) -> Iterator[str]:
    yield f"{file}: {facts.kind}, {facts.size_bytes:,} bytes, sha256 {facts.sha256}"
    yield from _tensors("input", facts.inputs, facts)
    yield from _tensors("output", facts.outputs, facts)
    if facts.batch is not None:
        yield f"batch fixed: {facts.batch}"
    for name, (low, high) in facts.lengths.items():
        yield f"{name}: {low} to {'any size' if high is None else high}"
    if facts.parameters is not None:
        yield f"parameters {facts.parameters:,} in {facts.parameter_bytes or 0:,} bytes"
    most = Counter(facts.operators).most_common(MOST_OPERATORS)
    rest = len(facts.operators) - len(most)
    yield "operators " + ", ".join(f"{name} {count}" for name, count in most) + (f", and {rest} more" if rest else "")
    yield "versions " + ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    yield from (f"of another library: {name}" for name in facts.custom)
    yield from (f"allowed: {one}" for one in facts.code)
    yield from (f"warning: {one}" for one in facts.warnings)


def _tensors(title: str, tensors: tuple[TensorSpec, ...], facts: FileFacts) -> Iterator[str]:
    for tensor in tensors[:MOST_TENSORS]:
        shape = ", ".join(map(str, tensor.shape))
        values = (
            tensor.values and str(tensor.values).replace("(low=", " ").replace(", high=", " to ").rstrip(")").lower()
        )
        guessed = " (guessed: the file does not say)" if title == "input" and tensor.name in facts.guessed else ""
        yield f"{title} {tensor.name}: {tensor.dtype} ({shape})" + (f", {values}{guessed}" if values else guessed)
    if len(tensors) > MOST_TENSORS:
        yield f"and {len(tensors) - MOST_TENSORS} more {title}s"


def _paths(found: list[Prospect]) -> Iterator[str]:
    """Describe what is possible, then what is not; variants of a path that have all in common in one line."""
    for possible, title in ((True, "can be made:"), (False, "cannot be made:")):
        yield title
        chosen = [one for one in found if one.possible is possible]
        for (path, way, notes), group in groupby(
            chosen, key=lambda one: (one.name.partition(":")[0], one.way, one.notes)
        ):
            names = ", ".join(one.name.partition(":")[2] for one in group)
            by = f"  from {way}" if possible else ""
            yield f"  {path}: {names}{by}" + (f"  ({'; '.join(notes)})" if notes else "")
