"""Turns an encoded picture into a row of a model's input, with Pillow.

Every path in Python does it by this file; a copy of it is inside the archives of TorchServe. It needs numpy and Pillow,
and nothing of this project.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

Rule = Mapping[str, Any]
"""The fields of :class:`models.spec.ImagePreprocessing` by name."""

MODES = {1: "L", 3: "RGB"}
ROUNDED = 1e-6
"""A number of pixels may be so much below a whole one, by rounding, and is that one."""


class NotReadable(ValueError):
    """The bytes are no picture that can be decoded."""


class Unfit(ValueError):
    """A picture that is not decoded: of the wrong size, with too many pixels, or with more than 16 bits a pixel."""


def to_row(
    data: bytes, rule: Rule, *, max_pixels: int, formats: tuple[str, ...] | None = None, fit: bool = True
) -> np.ndarray:
    """Return float32 (height, width), or (height, width, 3) of RGB, as ``rule`` says.

    The picture is turned upright by its EXIF data, laid on the rule's ground where it is transparent, cropped in its
    centre to the tensor's proportions and the rule's share, and scaled (bicubic). Without ``fit``, a picture for a rule
    without a share must have the tensor's size.

    Raises NotReadable for what is no picture of the ``formats`` (Pillow's names), Unfit for one that is not decoded.
    """
    size = rule["width"], rule["height"]
    try:
        with Image.open(io.BytesIO(data), formats=formats) as picture:
            # The header tells the size: a picture of the wrong one is never decoded.
            if rule["crop"] is None and not fit and picture.size != size:
                raise Unfit(f"a picture of {size[0]}x{size[1]} pixels. Received: {picture.width}x{picture.height}")
            if picture.width * picture.height > max_pixels:
                raise Unfit(f"a picture of {max_pixels} pixels at most. Received: {picture.width}x{picture.height}")
            upright = _eight_bits(ImageOps.exif_transpose(picture))
            shown = _on_ground(upright, rule["ground"]).convert(MODES[rule["channels"]])
            if shown.size != size or rule["crop"] not in (None, 1):
                box = crop_box(shown.height, shown.width, rule)
                shown = shown.resize(size, Image.Resampling.BICUBIC, box)
            pixels = np.asarray(shown, np.float32)
    except UnidentifiedImageError as error:  # Pillow's words are about the object that holds the bytes
        raise NotReadable("no known format") from error
    except Unfit:
        raise
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError, struct.error) as error:
        raise NotReadable(str(error)) from error
    return (pixels - np.float32(rule["offset"])) / np.float32(rule["scale"])


def crop_box(height: int, width: int, rule: Rule) -> tuple[int, int, int, int]:
    """Return the part of a picture that is scaled to the tensor's size, in pixels: left, upper, right, lower.

    Whole pixels, as in the evaluation of EfficientNet: ``_decode_and_center_crop`` of
    models/official/efficientnet/preprocessing.py in github.com/tensorflow/tpu.
    """
    proportion, share = rule["width"] / rule["height"], (rule["crop"] or 1.0)
    rows = max(1, int(share * min(height, width / proportion) + ROUNDED))
    columns = max(1, int(share * min(width, height * proportion) + ROUNDED))
    top, left = (height - rows + 1) // 2, (width - columns + 1) // 2
    return left, top, left + columns, top + rows


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Return a picture of 16 bits a pixel, scaled to 8: Pillow's own conversion would clip it."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture, np.uint32) // 257).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise Unfit(f"a picture of 8 or 16 bits a pixel. Received: one of mode {picture.mode}")
    return picture


def _on_ground(picture: Image.Image, grey: int) -> Image.Image:
    """Return a picture with ``grey`` behind its transparent parts."""
    if not picture.has_transparency_data:
        return picture
    return Image.alpha_composite(Image.new("RGBA", picture.size, (grey, grey, grey)), picture.convert("RGBA"))
