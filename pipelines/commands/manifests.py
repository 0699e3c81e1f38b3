"""``slipway manifests``: writes the manifests with which a KServe cluster serves the packaged artifacts."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from pipelines.base.errors import UserError
from pipelines.commands.base import command, emit

STORAGE = "pvc://slipway-artifacts"
_URI = re.compile(r"(pvc|s3|gs|hdfs|webhdfs|https)://[^/\s]+(/\S*)?")


@command("manifests", "manifests mnist_cnn", "manifests mnist_cnn --output deploy/kserve --storage s3://models")
@click.argument("model", default="mnist_cnn")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to (default: deploy/kserve in the workspace).",
)
@click.option(
    "--storage",
    default=STORAGE,
    show_default=True,
    metavar="URI",
    help="Where the cluster finds a copy of artifacts/.",
)
def manifests_command(workspace: Any, model: str, output: Path | None, storage: str, as_json: bool) -> None:
    """Write KServe InferenceServices for the packaged artifacts, one per server, and one for a canary.

    The service is the default variant of a path; its canary is the next packaged variant. As for containers
    here, TF_SERVING_IMAGE, TORCHSERVE_IMAGE and OPEN_INFERENCE_IMAGE name the images.
    """
    from pipelines.artifacts.named import spec_named
    from pipelines.base.files import write_text

    spec_named(workspace, model)
    if not _URI.fullmatch(storage):
        raise UserError(f"--storage takes a URI such as {STORAGE} or s3://BUCKET/FOLDER. Received: {storage!r}")
    folder = output or workspace.root / "deploy" / "kserve"
    skipped: list[dict[str, str]] = []
    made = dict(_services(workspace, model, storage, skipped))
    if not made:
        raise UserError(f"no packaged artifact of {model} has a server. Run: slipway package {model}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"--output takes a folder. Received: {folder}") from error
    for name, service in made.items():
        write_text(folder / name, as_yaml(model, service))

    def text() -> None:
        for name in made:
            click.echo(folder / name)
        for one in skipped:
            click.echo(f"skipped {one['artifact']}: {one['reason']}")

    files = [{"file": str(folder / name), "manifest": service} for name, service in made.items()]
    emit({"files": files, "skipped": skipped}, as_json, text)


def _services(
    workspace: Any, model: str, storage: str, skipped: list[dict[str, str]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield file names and InferenceServices; what is not packaged goes to ``skipped``, with the reason."""
    from pipelines.artifacts import artifact as artifacts
    from pipelines.artifacts.kserve import CANARY_PERCENT, inference_service
    from pipelines.paths import PATHS, path_module
    from serving.launch import LaunchRequest

    for card in (path_module(path).CARD for path in PATHS):
        if card.container is None:
            continue
        share = None
        for variant in list(card.variants)[:2]:
            try:
                found = artifacts.find(workspace, model, card.name, variant)
            except UserError as error:
                skipped.append({"artifact": f"{card.name}:{variant}", "reason": str(error)})
                continue
            # Neither folders nor ports of this machine get into the manifest.
            request = LaunchRequest(model, found.payload, found.folder, 0, 0)
            recipe = importlib.import_module(card.container).container(request)
            suffix = "" if share is None else "-canary"
            yield f"{card.name}{suffix}.yaml", inference_service(recipe, found.manifest, storage, share)
            share = CANARY_PERCENT


def as_yaml(model: str, service: dict[str, Any]) -> str:
    """Return the manifest for people to read: in the order it was made, a script line by line."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Represents texts in its own way."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    head = f"# Written by `slipway manifests {model}`; README.md beside it says what a cluster needs first.\n"
    return head + yaml.dump(service, Dumper=Dumper, sort_keys=False, width=110)
