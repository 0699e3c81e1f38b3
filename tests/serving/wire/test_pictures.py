"""Pictures of every kind become the row that a rule describes."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from serving.wire.pictures import NotReadable, Unfit, crop_box, to_row

RULE = {"height": 224, "width": 224, "channels": 3, "offset": 127.0, "scale": 128.0, "ground": 255, "crop": 0.875}
EXACT = RULE | {"height": 4, "width": 6, "offset": 0.0, "scale": 1.0, "crop": None}
LIMIT = 30_000_000


def scene(width: int, height: int) -> Image.Image:
    """A picture without symmetry: red grows to the right, green downwards, blue is a corner."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    blue = np.where((across < 64) & (down < 64), 255, 0)
    return Image.fromarray(np.stack([across, down, blue], -1).astype(np.uint8))


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def row(data: bytes, rule: dict[str, object] = RULE) -> np.ndarray:
    return to_row(data, rule, max_pixels=LIMIT)


def turned(picture: Image.Image, orientation: int) -> bytes:
    """A JPEG whose EXIF data says how to turn it upright, as a camera that was held otherwise writes it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    undo = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    return encoded(picture.transpose(undo[orientation]), "JPEG", exif=exif, quality=95, subsampling=0)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_turned_photograph_is_upright(orientation: int) -> None:
    upright = row(encoded(scene(320, 240), "JPEG", quality=95, subsampling=0))
    assert np.abs(row(turned(scene(320, 240), orientation)) - upright).mean() < 0.01


def test_a_picture_without_colour_has_three_equal_channels() -> None:
    found = row(encoded(scene(320, 240).convert("L")))
    assert (found[..., :1] == found).all()


def test_inks_become_colours() -> None:
    expected, found = row(encoded(scene(320, 240))), row(encoded(scene(320, 240).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(found - expected).mean() < 0.02


def test_what_is_transparent_shows_the_ground() -> None:
    picture = scene(224, 224)
    picture.putalpha(0)
    assert np.allclose(row(encoded(picture)), (255 - 127) / 128)


def test_sixteen_bits_are_scaled_to_eight() -> None:
    deep = Image.fromarray(np.full((240, 320), 40_000, np.uint16))
    assert np.allclose(row(encoded(deep)), (40_000 // 257 - 127) / 128)


def test_one_pixel_fills_the_row() -> None:
    found = row(encoded(Image.new("RGB", (1, 1), (10, 20, 30))))
    assert found.shape == (224, 224, 3)
    assert (found * 128 + 127 == (10, 20, 30)).all()


def test_a_very_large_picture_is_its_small_copy() -> None:
    small, large = (row(encoded(scene(width, height))) for width, height in ((600, 400), (6_000, 4_000)))
    assert np.abs(small - large).mean() < 0.02


def test_the_edge_is_cropped_and_the_centre_scaled() -> None:
    assert crop_box(256, 256, RULE) == (16, 16, 240, 240)
    assert crop_box(300, 500, RULE) == (119, 19, 381, 281)
    assert crop_box(240, 320, RULE) == (55, 15, 265, 225)
    assert crop_box(1, 1, RULE) == (0, 0, 1, 1)
    found = row(encoded(scene(320, 240)))
    across = np.linspace(0, 255, 320)[55:265]  # 210 of 240 rows, and as many columns
    assert found[:, 0, 0].mean() * 128 + 127 == pytest.approx(across[0], abs=2)
    assert found[:, -1, 0].mean() * 128 + 127 == pytest.approx(across[-1], abs=2)


def test_a_picture_of_the_models_own_size_is_unchanged() -> None:
    picture = scene(6, 4)
    assert np.array_equal(to_row(encoded(picture), EXACT, max_pixels=LIMIT, fit=False), np.asarray(picture))


def test_what_is_refused() -> None:
    with pytest.raises(Unfit, match=r"6x4 pixels. Received: 7x4"):
        to_row(encoded(scene(7, 4)), EXACT, max_pixels=LIMIT, fit=False)
    with pytest.raises(Unfit, match=r"99 pixels at most. Received: 10x10"):
        to_row(encoded(scene(10, 10)), RULE, max_pixels=99)
    with pytest.raises(Unfit, match="mode F"):
        row(encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))
    with pytest.raises(NotReadable, match="no known format"):
        row(b"no picture")
    with pytest.raises(NotReadable):
        row(encoded(scene(320, 240))[:-900])
    with pytest.raises(NotReadable, match="no known format"):
        to_row(encoded(scene(6, 4), "BMP"), EXACT, max_pixels=LIMIT, formats=("PNG",))


@pytest.mark.parametrize("part", [(b"zTXt", b"k\0\0" + zlib.compress(bytes(3_000_000))), (b"eXIf", b"II*\0")])
def test_a_picture_with_a_broken_part_is_not_readable(part: tuple[bytes, bytes]) -> None:
    """Pillow raises ValueError for a text that inflates too far, and struct.error for EXIF data without an end."""
    kind, data = part
    whole = encoded(scene(320, 240))
    end = 33  # of the signature and the header
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    with pytest.raises(NotReadable):
        row(whole[:end] + chunk + whole[end:])
