"""Tells the kind of a model file by its content, and reads it."""

from __future__ import annotations

import importlib
import math
import mmap
import pickle
import re
import stat
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from models.files import FileFacts, RefusedFile
from models.files.archives import CheckedZip, opened_zip
from models.files.contents import checked_file, mode_of, tree
from models.files.inside.marks import HEADS, PICKLED, ZIPS
from models.files.inside.messages import top_fields

READERS = {
    "keras": "models.files.keras_file",
    "saved_model": "models.files.saved_model",
    "pt2": "models.files.torch_export",
    "onnx": "models.files.onnx_file",
}
"""Maps a kind to the module that offers ``read(path) -> FileFacts``."""
SUFFIXES = {".keras": "keras", ".pt2": "pt2", ".onnx": "onnx"}
TAKEN = "slipway takes .keras, a SavedModel folder, .pt2 of torch.export, and .onnx"
MOST_ELEMENTS = 2**31
"""One row of an input has fewer numbers."""
HEAD_BYTES = 512


def kind_of(path: Path) -> str:
    """Return the kind of a model file, out of :data:`READERS`. Raises RefusedFile for everything else."""
    if mode_of(path) == stat.S_IFDIR:
        return _kind_of_folder(path)
    if checked_file(path) == 0:
        raise RefusedFile(f"{path} is empty: {TAKEN}")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(b"PK"):
        with opened_zip(path) as archive:
            return _kind_of_zip(path, archive)
    if what := next((what for place, mark, what in HEADS if head[place:].startswith(mark)), None):
        raise RefusedFile(f"{path} is {what}")
    if _is_pickle(head):
        raise RefusedFile(f"{path} is {PICKLED}")
    fields = None if _is_text(head) else _fields(path)
    if fields and fields.get(1) == 0 and 7 in fields and 8 in fields:
        return "onnx"
    raise RefusedFile(f"{path} is {_remaining(head, fields)}")


def read(path: Path, *, allow_code: bool = False) -> FileFacts:
    """Read and check a model file. Raises RefusedFile, also for code in it unless ``allow_code``."""
    kind = kind_of(path)
    try:
        facts: FileFacts = importlib.import_module(READERS[kind]).read(path)
    except MemoryError:
        raise RefusedFile(f"{path} needs more memory to be read than it may take") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, struct.error) as error:
        if isinstance(error, RefusedFile):
            raise RefusedFile(f"{path} is not taken: {error}") from None
        text = " ".join(str(error).split())[:120]
        raise RefusedFile(
            f"{path} is damaged, or written by an unknown version: {type(error).__name__}: {text}"
        ) from None
    if facts.code and not allow_code:
        more = f", and {len(facts.code) - 1} more" if len(facts.code) > 1 else ""
        raise RefusedFile(
            f"{path} is not taken: {facts.code[0]}{more}. With --allow-code it is, if you trust who made it"
        )
    for tensor in (*facts.inputs, *facts.outputs):
        if math.prod(size for size in tensor.shape if isinstance(size, int)) > MOST_ELEMENTS:
            raise RefusedFile(f"{path} is not taken: {tensor.name!r} has the shape {tensor.shape}, which is too large")
    if not facts.inputs or not facts.outputs:
        raise RefusedFile(
            f"{path} is not taken: a model has inputs and outputs. Received: "
            f"{len(facts.inputs)} and {len(facts.outputs)}"
        )
    return replace(facts, warnings=(*_misnamed(path, kind), *facts.warnings))


def _fields(path: Path) -> dict[int, int] | None:
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as raw,
    ):
        return top_fields(raw)


def _misnamed(path: Path, kind: str) -> Iterator[str]:
    expected = SUFFIXES.get(path.suffix.lower())
    usual = next((suffix for suffix, one in SUFFIXES.items() if one == kind), "no suffix, for a folder")
    if kind != "saved_model" and expected != kind:
        yield f"its name ends in {path.suffix or 'nothing'!r} and its content is of the kind {kind}, which has {usual}"


def _kind_of_folder(path: Path) -> str:
    names = tree(path)
    if "saved_model.pb" in names:
        return "saved_model"
    inner = sorted({Path(name).parent.as_posix() for name in names if name.endswith("/saved_model.pb")})
    files = [name for name in names if Path(name).suffix in SUFFIXES]
    hint = f"Name {path / (inner + files)[0]}" if inner or files else TAKEN
    raise RefusedFile(f"{path} is a folder without saved_model.pb. {hint}")


def _kind_of_zip(path: Path, archive: CheckedZip) -> str:
    names = list(archive.members)
    if "config.json" in names and "model.weights.h5" in names:
        return "keras"
    for pattern, what in ZIPS:
        if any(re.fullmatch(pattern, name) for name in names):
            if what in READERS:
                return what
            raise RefusedFile(f"{path} is or holds {what}")
    raise RefusedFile(f"{path} is a zip archive with no model that is known: {', '.join(names[:3])[:120]}. {TAKEN}")


def _is_pickle(head: bytes) -> bool:
    """Tell if a file begins as a pickle of protocol 2 or later does, or as a classic one of a class."""
    return (head[:1] == pickle.PROTO and 2 <= head[1] <= pickle.HIGHEST_PROTOCOL) or bool(
        re.match(rb"c\w[\w.]*\n\w+\n", head)
    )


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        text = head[: error.start].decode() if error.start > len(head) - 4 else "\0"
    return all(character.isprintable() or character in "\t\r\n" for character in text)


def _remaining(head: bytes, fields: dict[int, int] | None) -> str:
    """Say what a file is that is neither taken nor known by its beginning."""
    if head[8:9] == b"{" and not any(head[5:8]):
        return "a file of safetensors: weights without a network. Give the model that they belong to"
    if fields and fields.get(1) == 0 and 2 in fields and set(fields) <= {1, 2}:
        return "the graph of a SavedModel. Name the folder that it lies in"
    if fields and fields.get(1) == 2:
        return "a frozen graph of TensorFlow 1, it seems. Export it as a SavedModel"
    return f"{'a text' if _is_text(head) else 'of no kind that is known'}: {TAKEN}"
