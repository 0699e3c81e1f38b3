"""Reads the inputs of ``predict``: a picture, an .npy array, or either on standard input."""

from __future__ import annotations

import io
import sys
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.spec import BATCH, ImagePreprocessing, ModelSpec, TensorSpec, fits
from pipelines.base.errors import UserError
from pipelines.base.files import MIB, read_bounded

if TYPE_CHECKING:
    from PIL import Image

NPY_MAGIC, NPZ_MAGIC = b"\x93NUMPY", b"PK\x03\x04"
# The header of an array is Python source: what is wrong with it comes as any of these.
UNREADABLE = (
    *(ValueError, EOFError, OSError, OverflowError, MemoryError, SyntaxError, tokenize.TokenError),
    *(KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error),
)
MAX_BYTES = 256 * MIB
MAX_PIXELS = 50_000_000
"""A picture with more is not decoded: it needs four bytes for each."""
MODES = {1: "L", 3: "RGB"}


def read_input(source: str, spec: ModelSpec, resize: bool) -> dict[str, np.ndarray]:
    """One input of the model from a file, or from standard input for ``-``.

    A picture must have the model's size unless ``resize``; an .npy file the model's dtype and shape, with or without
    the batch dimension. A model of several inputs takes an .npz file of all. Raises UserError with what was expected
    and received.
    """
    data = _bytes_of(source)
    if data.startswith(NPZ_MAGIC):
        return _from_npz(data, source, spec)
    tensor = spec.inputs[0]
    if len(spec.inputs) > 1:
        wanted = ", ".join(one.name for one in spec.inputs)
        raise UserError(f"{source}: expected an .npz file of {wanted}. Received: another file")
    if data.startswith(NPY_MAGIC):
        return {tensor.name: _from_npy(data, source, tensor)}
    if spec.preprocessing is None:
        raise UserError(f"{source}: expected an .npy file of {_wanted(tensor)}. Received: something else")
    pixels = _from_picture(data, source, spec.preprocessing, resize)
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
    if array.dtype != np.dtype(tensor.dtype) or not fits(array.shape, tensor.sizes) or len(array) == 0:
        raise UserError(f"{source}: expected {wanted}. Received: {array.dtype} of shape {array.shape}")
    if not np.isfinite(array).all():
        raise UserError(f"{source}: expected finite numbers. Received: NaN or infinity")
    return np.ascontiguousarray(array)


def _wanted(tensor: TensorSpec) -> str:
    names = ["N" if size == BATCH else str(size) for size in tensor.shape]
    return f"{tensor.dtype} of shape ({', '.join(names)}) or ({', '.join(names[1:])})"


def _eight_bits(picture: Image.Image, source: str) -> Image.Image:
    """Return a picture of 16 bits a pixel, scaled to 8: Pillow's own conversion would clip it."""
    from PIL import Image

    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture, np.uint32) // 257).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise UserError(f"{source}: expected 8 or 16 bits a pixel. Received: a picture of mode {picture.mode}")
    return picture


def _on_ground(picture: Image.Image, grey: int) -> Image.Image:
    """Return a picture with ``grey`` behind its transparent parts."""
    from PIL import Image

    if not picture.has_transparency_data:
        return picture
    return Image.alpha_composite(Image.new("RGBA", picture.size, (grey, grey, grey)), picture.convert("RGBA"))


def _from_picture(data: bytes, source: str, rule: ImagePreprocessing, resize: bool) -> np.ndarray:
    from PIL import Image, ImageOps, UnidentifiedImageError

    wanted = f"a picture of {rule.width}x{rule.height} pixels"
    try:
        with Image.open(io.BytesIO(data)) as picture:
            # The header tells the size: a picture of the wrong one is never decoded.
            if picture.size != (rule.width, rule.height) and not resize:
                raise UserError(
                    f"{source}: expected {wanted}. Received: {picture.width}x{picture.height}. Use --resize to fit it."
                )
            if picture.width * picture.height > MAX_PIXELS:
                raise UserError(
                    f"{source}: at most {MAX_PIXELS:,} pixels are fitted. Received: {picture.width}x{picture.height}"
                )
            upright = _eight_bits(ImageOps.exif_transpose(picture), source)
            fitted = _on_ground(upright, rule.ground).convert(MODES[rule.channels])
            if fitted.size != (rule.width, rule.height):
                fitted = fitted.resize((rule.width, rule.height), Image.Resampling.BICUBIC)
            pixels = np.asarray(fitted, np.float32)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        # Pillow's words for what it does not know are about the object that holds the bytes.
        reason = "no known format" if isinstance(error, UnidentifiedImageError) else error
        raise UserError(
            f"{source} is not a readable picture: expected {wanted}, or an .npy file. Received: {reason}"
        ) from error
    return ((pixels - np.float32(rule.offset)) / np.float32(rule.scale))[np.newaxis]
