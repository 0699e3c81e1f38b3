"""Reads the inputs of ``predict``: a picture, an .npy array, or either on standard input."""

from __future__ import annotations

import io
import sys
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.spec import ModelSpec, TensorSpec
from pipelines.base.errors import UserError
from pipelines.base.files import MIB, read_bounded

if TYPE_CHECKING:
    from PIL import Image

NPY_MAGIC = b"\x93NUMPY"
MAX_BYTES = 256 * MIB
MAX_PIXELS = 50_000_000
"""A picture with more is not decoded: it needs four bytes for each."""
MODES = {1: "L", 3: "RGB"}


def read_input(source: str, spec: ModelSpec, resize: bool) -> dict[str, np.ndarray]:
    """One input of the model from a file, or from standard input for ``-``.

    A picture must have the model's size unless ``resize``; an .npy file the model's dtype and
    shape, with or without the batch dimension. Raises UserError with what was expected and received.
    """
    data = _bytes_of(source)
    tensor = spec.inputs[0]
    if data.startswith(NPY_MAGIC):
        return {tensor.name: _from_npy(data, source, tensor)}
    return {tensor.name: _from_picture(data, source, spec, resize)}


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
    wanted = f"{tensor.dtype} of shape {_shape(tensor.shape)} or {_shape(tensor.shape[1:])}"
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, OverflowError, MemoryError, SyntaxError, tokenize.TokenError) as error:
        # The header is Python source: what is wrong with it comes as any of these.
        raise UserError(f"{source} is not a readable .npy file: expected {wanted}. Received: {error}") from error
    if array.shape == tensor.shape[1:]:
        array = array[np.newaxis]
    fits = array.ndim == len(tensor.shape) and array.shape[1:] == tensor.shape[1:] and len(array) > 0
    if array.dtype != np.dtype(tensor.dtype) or not fits:
        raise UserError(f"{source}: expected {wanted}. Received: {array.dtype} of shape {array.shape}")
    if not np.isfinite(array).all():
        raise UserError(f"{source}: expected finite numbers. Received: NaN or infinity")
    return np.ascontiguousarray(array)


def _shape(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("N" if size is None else str(size) for size in shape) + ")"


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


def _from_picture(data: bytes, source: str, spec: ModelSpec, resize: bool) -> np.ndarray:
    from PIL import Image, ImageOps, UnidentifiedImageError

    rule = spec.preprocessing
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
    return ((pixels - np.float32(rule.offset)) / np.float32(rule.scale))[np.newaxis].astype(spec.inputs[0].dtype)
