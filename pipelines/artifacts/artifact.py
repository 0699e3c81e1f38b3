"""Builds artifacts in a content-addressed store: payload, manifest, certificate, reproduce.sh, SHA256SUMS."""

from __future__ import annotations

import hashlib
import json
import shlex
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from models.files import printable
from models.known import code_of
from models.model import KeptModel
from pipelines.artifacts import store
from pipelines.artifacts.sources import Source
from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import UserError
from pipelines.base.files import MIB, link, read_bounded, write_text
from pipelines.paths import Card
from pipelines.results import ArtifactRow, Certificate, FileEntry, Holds, Try

MANIFEST, CERTIFICATE, PAYLOAD, REPRODUCE = "manifest.json", "certificate.json", "payload", "reproduce.sh"
MAX_MANIFEST_BYTES = 64 * MIB
NO_FILE = "no such file"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents and origin of an artifact. ``artifact_sha256`` covers every payload file's path and bytes.

    ``model_training`` is how the weights were trained: ``framework`` and ``epochs`` (null: the recipe's); of a user's
    file, its ``file`` and ``file_sha256``.

    ``signature`` is the model spec's: inputs and outputs with name, dtype and shape (null: free). ``holds`` is read
    out of the payload. ``form`` is the form of the model that it was made from, ``tries`` the other ones that were
    tried before, each with what came of it.
    """

    key: str
    model: str
    path: str
    variant: str
    framework: str
    form: str
    tries: tuple[Try, ...]
    model_training: dict[str, Any]
    model_sha256: str
    artifact_sha256: str
    size_bytes: int
    files: tuple[FileEntry, ...]
    versions: dict[str, str]
    signature: dict[str, list[dict[str, Any]]]
    labels: tuple[str, ...]
    holds: Holds


@dataclass(frozen=True, slots=True)
class Artifact:
    """A whole artifact in the store."""

    folder: Path
    manifest: Manifest

    @property
    def payload(self) -> Path:
        return self.folder / PAYLOAD

    @property
    def name(self) -> str:
        return f"{self.manifest.path}:{self.manifest.variant}"


def artifact_key(card: Card, path_code: Source, variant: str, form: str, model: KeptModel) -> str:
    """Return the name of a build in the store.

    It covers the weights, the code of this model and no other one's, what its forms are made with, the path's module
    ``path_code``, its declared sources, the manifest's fields, the variant, the form that it is made from, the versions
    of what it requires and the processor's architecture.
    """
    return store.key_of(
        {
            "path": card.name,
            "variant": variant,
            "form": form,
            "model": model.name,
            "weights": model.sha256,
            "manifest": [field.name for field in fields(Manifest)],
        },
        [path_code, *code_of(model.name), *card.sources],
        (*card.variants[variant].requires, *model.requires),
    )


def entries(folder: Path) -> tuple[FileEntry, ...]:
    """List every file below a folder, sorted by path."""
    found = []
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            name = file.relative_to(folder).as_posix()
            found.append(FileEntry(name, file.stat().st_size, store.file_sha256(file)))
    return tuple(found)


def digest_of(files: Iterable[FileEntry]) -> str:
    """One hash for a set of files: that of the lines ``path, sha256`` in order."""
    return hashlib.sha256("".join(f"{entry.path}\0{entry.sha256}\n" for entry in files).encode()).hexdigest()


def read_manifest(path: Path) -> Manifest:
    """Raises UserError when the file is not a manifest of this version of slipway."""
    if not path.exists():
        raise UserError(f"no manifest at {path}. Package the model first: slipway package MODEL")
    try:
        data = json.loads(read_bounded(path, MAX_MANIFEST_BYTES, "the manifest"))
        data["files"] = tuple(FileEntry(**entry) for entry in data["files"])
        data["labels"] = tuple(data["labels"])
        data["tries"] = tuple(Try(**one) for one in data.get("tries", ()))
        data.setdefault("form", "")  # of an older version
        data["holds"] = TypeAdapter(Holds).validate_python(data["holds"])
        return Manifest(**data)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"{path} is not a manifest that this version reads. Received: {error}") from error


def write_certificate(folder: Path, certificate: Certificate) -> None:
    """Write an artifact's certificate.json, with a hash of what it says."""
    content = asdict(certificate)
    sealed = {**content, "sha256": _digest_of_json(content)}
    write_text(folder / CERTIFICATE, json.dumps(sealed, indent=2, allow_nan=False) + "\n")


def read_certificate(folder: Path) -> Certificate:
    """Raises OSError when an artifact has no certificate, ValueError when it was changed or is of another version."""
    raw = (folder / CERTIFICATE).read_bytes()
    try:
        content = json.loads(raw)
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.pop("sha256", None) != _digest_of_json(content):
        raise ValueError(f"{folder / CERTIFICATE} is not as it was written")
    return TypeAdapter(Certificate).validate_python(content)


def _digest_of_json(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def find(workspace: Workspace, model: str, path: str, variant: str, place: Path | None = None) -> Artifact:
    """Return the packaged artifact, or that at ``place``. Raises UserError if there is none, or files were changed."""
    folder = place or workspace.artifact(model, path, variant)
    damaged = store.damage(folder) if folder.exists() else "it is not packaged"
    if damaged is not None:
        raise UserError(f"no {path}:{variant} of {model}: {damaged}. Run: slipway package {model} {path}:{variant}")
    return Artifact(folder.resolve(), read_manifest(folder / MANIFEST))


def build(
    workspace: Workspace,
    key: str,
    what: str,
    fill: Callable[[Path], None],
    describe: Callable[[tuple[FileEntry, ...]], Manifest],
    rebuild: bool = False,
    cancel: threading.Event | None = None,
) -> tuple[Artifact, bool]:
    """Return the artifact of ``key``, called ``what``, and if it was there already; ``fill`` writes its payload."""

    def fill_all(folder: Path) -> None:
        (folder / PAYLOAD).mkdir()
        fill(folder / PAYLOAD)
        manifest = describe(entries(folder / PAYLOAD))
        (folder / REPRODUCE).write_text(_reproduce(manifest))
        (folder / REPRODUCE).chmod(0o755)
        (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")

    folder, cached = store.build(workspace.store, key, fill_all, f"{what} is packaged", rebuild, cancel)
    return Artifact(folder, read_manifest(folder / MANIFEST)), cached


def publish(workspace: Workspace, artifact: Artifact) -> Path:
    """Point ``artifacts/MODEL/PATH/VARIANT`` at the artifact; returns that link."""
    manifest = artifact.manifest
    place = workspace.artifact(manifest.model, manifest.path, manifest.variant)
    link(place, artifact.folder)
    return place


def differences(expected: Manifest, row: ArtifactRow) -> list[str]:
    """One line for every payload file that is not as the manifest says; none for another path's row."""
    if (row.path, row.variant) != (expected.path, expected.variant):
        return []
    want = {entry.path: entry.sha256 for entry in expected.files}
    have = {entry.path: entry.sha256 for entry in row.files}
    return [
        f"{row.path}:{row.variant}  {path}: expected {want.get(path, NO_FILE)}. Received: {have.get(path, NO_FILE)}"
        for path in sorted(want.keys() | have.keys())
        if want.get(path) != have.get(path)
    ]


def _reproduce(manifest: Manifest) -> str:
    versions = "\n".join(f"#   {name} {version}" for name, version in sorted(manifest.versions.items()))
    if "file" in manifest.model_training:
        return _from_file(manifest, versions)
    options = "".join(f" --{name} {value}" for name, value in manifest.model_training.items() if value is not None)
    return f"""#!/bin/sh
# Builds this artifact again, from training on, in a workspace of its own, and compares every file
# with manifest.json. Needs slipway on PATH; built with:
{versions}
# Usage: ./reproduce.sh [WORKSPACE]
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
workspace=${{1:-$(mktemp -d)}}
slipway --workspace "$workspace" train {manifest.model}{options}
slipway --workspace "$workspace" package {manifest.model} {manifest.path}:{manifest.variant} --expect "$here/{MANIFEST}"
"""


def _from_file(manifest: Manifest, versions: str) -> str:
    about = manifest.model_training
    name = shlex.quote(f"{manifest.path}:{manifest.variant}")
    return f"""#!/bin/sh
# Builds this artifact again, from the user's file, in a workspace of its own, and compares every file with
# manifest.json. The file is {printable(about["file"])}, sha256 {about["file_sha256"]}.
# Needs slipway on PATH; built with:
{versions}
# Usage: ./reproduce.sh FILE [--inputs, --labels, --spec and --allow-code as then]
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
file=$1
shift
slipway --workspace "$(mktemp -d)" package "$file" {name} --name {manifest.model} --expect "$here/{MANIFEST}" "$@"
"""
