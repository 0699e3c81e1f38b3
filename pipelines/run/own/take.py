"""Takes a user's model file into the workspace: checked, copied, called once, with the reference's answers."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import MODELS, known
from models.files import OWN, FileFacts, kinds, torch_export
from models.files.contents import sha256_of, sha256_of_all, tree
from models.files.kept import spec_plain
from models.files.model import FILES, SAMPLES
from models.files.plain import tensor_of
from models.files.shapes import freed
from pipelines.artifacts import parity, reference, store
from pipelines.base.errors import UserError
from pipelines.base.files import link
from pipelines.paths import PATHS, version_of
from pipelines.run.own.draft import check_labels, draft, finished, with_texts
from pipelines.run.own.samples import read_samples
from pipelines.run.own.wishes import read_wishes
from pipelines.run.prepare import Context
from pipelines.stages import taking
from pipelines.stages.answers import REFERENCE
from pipelines.stages.cage import for_framework
from pipelines.stages.user_file import read_user_file
from pipelines.stages.worker import StageFailed, run_stage

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
LIBRARIES = {
    "keras": ("keras", "tensorflow"),
    "saved_model": ("keras", "tensorflow"),
    "pt2": ("torch",),
    "onnx": ("onnxruntime",),
}
"""Maps a kind to the distributions that compute its reference."""


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A user's file, and what the user says of it."""

    path: Path
    name: str | None = None
    samples: Path | None = None
    labels: Path | None = None
    spec: Path | None = None
    allow_code: bool = False


def is_file(word: str) -> bool:
    """Tell if a word on the command line names a model file, and no model: by how it looks, or because it is there."""
    path = Path(word)
    looks = "/" in word or path.suffix.lower() in kinds.SUFFIXES or path.is_file() or (path / "saved_model.pb").exists()
    return word not in MODELS and looks


def name_for(own: OwnFile) -> str:
    """Return the model's name: the user's, or the file's own without its suffix. Raises UserError."""
    name = own.name or re.sub(r"[^a-z0-9_.-]+", "-", own.path.resolve().stem.lower()).strip("-.")
    if not NAME.fullmatch(name) or Path(name).suffix in kinds.SUFFIXES:
        raise UserError(
            "a model's name has small letters, digits, '.', '_' and '-', begins with one of the first two, and does "
            f"not end as a file does. Received: {name!r}. Choose one with --name"
        )
    for known_names, what in ((MODELS, "a model of slipway's own"), (PATHS, "the name of a path")):
        if name in known_names:
            raise UserError(f"{name} is {what}. Choose another name with --name")
    return name


def take(context: Context, own: OwnFile, tell: Callable[[str], None] = lambda line: None) -> str:  # noqa: ARG005
    """Take a file; return the model's name, under which every command finds it. Raises UserError or SlipwayError."""
    name, wishes = name_for(own), read_wishes(own.spec, own.labels)
    tell("reading the file, without running anything in it")
    read = read_user_file(own.path, allow_code=own.allow_code)
    facts, fixed = freed(read.facts), read.facts.batch
    missing = [one for one in LIBRARIES[facts.kind] if version_of(one) is None]
    if missing:
        raise UserError(f"a {facts.kind} file is opened by {', '.join(missing)}, which is not installed here")
    _check_free(context, own, name, facts)
    spec = draft(name, facts, wishes)
    samples = None if own.samples is None else read_samples(own.samples, spec)
    spec = with_texts(spec, samples)
    said = json.dumps(spec_plain(spec), sort_keys=True)
    parts = {
        "own": name,
        "file": facts.sha256,
        "said": said,
        "allow_code": own.allow_code,
        "samples": None if own.samples is None else store.file_sha256(own.samples),
    }
    key = store.key_of(parts, [*known.code_of(name), torch_export, taking, reference, parity], LIBRARIES[facts.kind])

    def fill(folder: Path) -> None:
        _copy(own.path, folder / FILES[facts.kind], facts, context.log("take"), own.allow_code)
        if samples is not None:
            reference.save_arrays(folder / SAMPLES, samples)
        about = {
            "spec": spec_plain(spec),
            "kind": facts.kind,
            "sha256": hashlib.sha256(key.encode()).hexdigest(),  # the file, the spec and the samples
            "file_sha256": facts.sha256,
            "origin": own.path.name,
            "allow_code": own.allow_code,
            "parameters": facts.parameters,
            "signature": facts.versions.get("signature"),
            "tags": facts.versions["tags"].split(", ") if "tags" in facts.versions else None,
        }
        _write(folder, about)
        tell("calling it once, in a process with limits: its own runtime's answers are the reference")
        made = folder / "made"  # all that the process may write
        made.mkdir()
        if fixed is not None:
            _call(context, own, "free_rows", folder, made, batch=fixed)
            _swap(made / FILES[facts.kind], folder / FILES[facts.kind], facts, allow_code=own.allow_code)
        found = _call(context, own, "complete", folder, made)
        (made / REFERENCE).rename(folder / REFERENCE)
        shutil.rmtree(made)
        whole = finished(spec, tuple(map(tensor_of, found["outputs"])), probabilities=found["probabilities"])
        check_labels(whole, samples)
        _write(folder, about | {"spec": spec_plain(whole)})

    folder, _ = store.build(context.workspace.store, key, fill, f"{name} is taken", context.rebuild, context.cancel)
    link(context.workspace.trained(name), folder)
    return name


def _call(context: Context, own: OwnFile, stage: str, folder: Path, made: Path, **more: int) -> Any:
    """Run a stage that calls the model, in a process with limits. Raises UserError."""
    request = {"folder": str(folder), "out": str(made), **more}
    cage, log = for_framework(made), context.log("take")
    try:
        found = run_stage(f"pipelines.stages.taking:{stage}", request, log, context.cancel, threads=1, cage=cage)
    except StageFailed as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{own.path} cannot be used: {reason}. The rest is in {log}") from error
    return found.value


def _check_free(context: Context, own: OwnFile, name: str, facts: FileFacts) -> None:
    """Raise UserError if the name that nobody chose is another file's already."""
    place = context.workspace.trained(name) / OWN
    if own.name is not None or not place.is_file():
        return
    try:
        other = json.loads(place.read_text())["file_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # a damaged one, which this file replaces
    if other != facts.sha256:
        raise UserError(
            f"{name} is another file's name already. Choose one with --name, or say --name {name} to put {own.path} in "
            "its place"
        )


def _swap(made: Path, kept: Path, facts: FileFacts, *, allow_code: bool) -> None:
    """Put the file that a model's process wrote in the place of the checked one. Raises UserError.

    A stranger's file ran there, so this one is checked as the first was, and takes and gives the same.
    """
    if not made.is_symlink() and not made.exists():
        return  # of a kind that needs no other file
    if made.is_symlink() or not made.is_file():
        raise UserError(f"{kept.name} was to be written by its own runtime, which made no file of it")
    found = read_user_file(made, allow_code=allow_code).facts
    if [(one.name, one.dtype, one.shape) for one in (*found.inputs, *found.outputs)] != [
        (one.name, one.dtype, one.shape) for one in (*facts.inputs, *facts.outputs)
    ]:
        raise UserError(f"{kept.name} was written with other inputs or outputs by its own runtime")
    made.replace(kept)


def _write(folder: Path, about: dict[str, Any]) -> None:
    (folder / OWN).write_text(json.dumps(about, indent=2) + "\n")


def _copy(path: Path, place: Path, facts: FileFacts, log: Path, allow_code: bool) -> None:
    """Copy a checked file. Raises UserError if it is no longer the one that was checked.

    A program of torch.export loses its guards, which PyTorch would run; an ``.onnx`` file gets the weights that lie
    beside it.
    """
    if path.is_dir():
        shutil.copytree(path, place)
        copied = sha256_of_all(tree(place))
    elif facts.kind == "onnx" and facts.size_bytes > path.stat().st_size:
        request = {"path": str(path.absolute()), "place": str(place)}
        try:
            run_stage("pipelines.stages.taking:join", request, log, cage=for_framework(place.parent))
        except StageFailed as error:
            reason = str(error).partition("\n")[0]
            raise UserError(f"{path} cannot be joined with its weights: {reason}. The rest is in {log}") from error
        read_user_file(place, allow_code=allow_code)  # as any other
        copied = read_user_file(path, allow_code=allow_code).facts.sha256
    else:
        raw = place.with_name("raw")
        shutil.copyfile(path, raw)
        copied = sha256_of(raw)
        if copied == facts.sha256 and facts.kind == "pt2":
            torch_export.rewritten(raw, place)
            raw.unlink()
        else:
            raw.rename(place)
    if copied != facts.sha256:
        raise UserError(f"{path} was changed while it was taken. Run it again when nobody writes to it")
