"""Reads the inputs of ``predict``: a picture, arrays or lines of text, from a file or on standard input."""

from __future__ import annotations

import io
import sys
import tokenize
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path

import numpy as np

from models.spec import BATCH, ImagePreprocessing, ModelSpec, TensorSpec, fits
from models.text import Encode
from pipelines.base.errors import UserError
from pipelines.base.files import MIB, read_bounded

NPY_MAGIC, NPZ_MAGIC = b"\x93NUMPY", b"PK\x03\x04"
# The header of an array is Python source: what is wrong with it comes as any of these.
UNREADABLE = (
    *(ValueError, EOFError, OSError, OverflowError, MemoryError, SyntaxError, tokenize.TokenError),
    *(KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error),
)
MAX_BYTES = 256 * MIB
MAX_TEXTS = 1_000
MAX_PIXELS = 50_000_000
"""A picture with more is not decoded: it needs four bytes for each."""


def read_input(source: str, spec: ModelSpec, resize: bool, encode: Encode | None = None) -> dict[str, np.ndarray]:
    """One input of the model from a file, or from standard input for ``-``.

    A picture must have the model's size unless ``resize`` or the model crops it; an .npy file the model's dtype and
    shape, with or without the batch dimension. A model of several inputs takes an .npz file of all. A model of texts
    takes a text file, each line of which is one; ``encode`` makes its inputs. Raises UserError with what was expected
    and received.
    """
    data = _bytes_of(source)
    if data.startswith(NPZ_MAGIC):
        return _from_npz(data, source, spec)
    if encode is not None and not data.startswith(NPY_MAGIC):
        return encode(_lines(data, source))
    tensor = spec.inputs[0]
    if len(spec.inputs) > 1:
        wanted = ", ".join(one.name for one in spec.inputs)
        raise UserError(f"{source}: expected an .npz file of {wanted}. Received: another file")
    if data.startswith(NPY_MAGIC):
        return {tensor.name: _from_npy(data, source, tensor)}
    if spec.picture is None:
        raise UserError(f"{source}: expected an .npy file of {_wanted(tensor)}. Received: something else")
    pixels = _from_picture(data, source, spec.picture, resize)
    return {tensor.name: pixels.astype(tensor.dtype)}


def _bytes_of(source: str) -> bytes:
    if source == "-":
        if sys.stdin is None:
            raise UserError("expected a picture or an .npy file on standard input. Received: it is closed")
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        data = read_bounded(Path(source), MAX_BYTES, "the input")
    if not data or len(data) > MAX_BYTES:
        raise UserError(
            f"expected a picture or an .npy file of 1 to {MAX_BYTES} bytes. Received: {len(data)} bytes from {source}"
        )
    return data


def _lines(data: bytes, source: str) -> list[str]:
    """Return the lines of a text file that are not empty."""
    try:
        lines = [line for line in data.decode().splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise UserError(f"{source}: expected a text file in UTF-8, or an .npz file. Received: {error}") from error
    if not lines or len(lines) > MAX_TEXTS:
        raise UserError(f"{source}: expected 1 to {MAX_TEXTS} lines of text. Received: {len(lines)}")
    return lines


def _from_npy(data: bytes, source: str, tensor: TensorSpec) -> np.ndarray:
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except UNREADABLE as error:
        raise UserError(
            f"{source} is not a readable .npy file: expected {_wanted(tensor)}. Received: {error}"
        ) from error
    return _checked(array, source, tensor)


def _from_npz(data: bytes, source: str, spec: ModelSpec) -> dict[str, np.ndarray]:
    """Return all inputs of a model that has several, by name."""
    wanted = ", ".join(tensor.name for tensor in spec.inputs)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            members = zipfile.ZipFile(io.BytesIO(data)).infolist()
            if (size := sum(member.file_size for member in members)) > MAX_BYTES:
                raise UserError(f"{source} may unpack to {MAX_BYTES} bytes. Received: {size}")
            arrays = {name: file[name] for name in file.files}
    except UNREADABLE as error:
        raise UserError(f"{source} is not a readable .npz file of {wanted}. Received: {error}") from error
    if set(arrays) != {tensor.name for tensor in spec.inputs}:
        raise UserError(f"{source}: expected the arrays {wanted}. Received: {', '.join(sorted(arrays)) or 'none'}")
    found = {tensor.name: _checked(arrays[tensor.name], source, tensor) for tensor in spec.inputs}
    rows = [len(array) for array in found.values()]
    if len(set(rows)) > 1:
        received = ", ".join(map(str, rows))
        raise UserError(f"{source}: expected the same number of rows in {wanted}. Received: {received}")
    return found


def _checked(array: np.ndarray, source: str, tensor: TensorSpec) -> np.ndarray:
    wanted = _wanted(tensor)
    if fits(array.shape, tensor.sizes[1:]):
        array = array[np.newaxis]
    if not tensor.has_type_of(array) or not fits(array.shape, tensor.sizes) or len(array) == 0:
        raise UserError(f"{source}: expected {wanted}. Received: {array.dtype} of shape {array.shape}")
    if array.dtype.kind != "U" and not np.isfinite(array).all():
        raise UserError(f"{source}: expected finite numbers. Received: NaN or infinity")
    return np.ascontiguousarray(array)


def _wanted(tensor: TensorSpec) -> str:
    names = ["N" if size == BATCH else str(size) for size in tensor.shape]
    return f"{tensor.dtype} of shape ({', '.join(names)}) or ({', '.join(names[1:])})"


def _from_picture(data: bytes, source: str, rule: ImagePreprocessing, resize: bool) -> np.ndarray:
    from serving.wire import pictures

    try:
        return pictures.to_row(data, asdict(rule), max_pixels=MAX_PIXELS, fit=resize)[np.newaxis]
    except pictures.Unfit as error:
        advice = "" if resize or rule.crop is not None else " Use --resize to fit it."
        raise UserError(f"{source}: expected {error}.{advice}") from error
    except pictures.NotReadable as error:
        wanted = "a picture" if rule.crop is not None else f"a picture of {rule.width}x{rule.height} pixels"
        raise UserError(
            f"{source} is not a readable picture: expected {wanted}, or an .npy file. Received: {error}"
        ) from error
