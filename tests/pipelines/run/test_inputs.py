"""A user's inputs to predict: pictures, arrays, and files that are neither."""

from __future__ import annotations

import io
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import EMBEDDING, PLAIN, TWO_INPUTS

from models.mnist_cnn import SPEC
from pipelines.base.errors import UserError
from pipelines.run.inputs import read_input


def picture(path: Path, size: tuple[int, int] = (28, 28), mode: str = "L", kind: str = "PNG") -> str:
    width, height = size
    pixels = np.arange(width * height, dtype=np.uint32).reshape(height, width) % 256
    Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(path, kind)
    return str(path)


def array(path: Path, value: np.ndarray) -> str:
    np.save(path, value)
    return str(path)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_a_picture_becomes_the_input_that_training_saw(tmp_path: Path, mode: str) -> None:
    source = picture(tmp_path / "digit.png", mode=mode)
    read = read_input(source, SPEC, resize=False)["image"]
    with Image.open(source) as opened:
        expected = np.asarray(opened.convert("L"), np.float32) / 255
    assert (read.shape, read.dtype) == ((1, 28, 28), np.float32)
    assert np.array_equal(read[0], expected)


def transparent_digit(ground: int = 0) -> tuple[Image.Image, np.ndarray]:
    """A drawing whose transparency fades, and what is seen of it on a grey ground."""
    alpha = (np.arange(784).reshape(28, 28) % 256).astype(np.uint8)
    drawing = np.full((28, 28), 200, np.uint8)
    seen = np.rint(drawing * (alpha / 255) + ground * (1 - alpha / 255))
    return Image.merge("RGBA", [Image.fromarray(drawing)] * 3 + [Image.fromarray(alpha)]), seen


@pytest.mark.parametrize("ground", [0, 255])
def test_the_ground_of_the_training_data_is_behind_a_transparent_picture(tmp_path: Path, ground: int) -> None:
    image, seen = transparent_digit(ground)
    image.save(tmp_path / "digit.png")
    spec = replace(SPEC, preprocessing=replace(SPEC.preprocessing, ground=ground))
    read = read_input(str(tmp_path / "digit.png"), spec, False)["image"][0] * 255
    assert np.abs(read - seen).max() <= 1


@pytest.mark.parametrize("mode", ["L", "P"])
def test_one_colour_that_is_transparent(tmp_path: Path, mode: str) -> None:
    pixels = np.full((28, 28), 255, np.uint8)
    pixels[10:20] = 100
    image = Image.fromarray(pixels)
    if mode == "P":
        image = image.convert("P")
    image.save(tmp_path / "digit.png", transparency=255)
    read = read_input(str(tmp_path / "digit.png"), SPEC, False)["image"][0]
    assert np.array_equal(read, np.where(pixels == 100, np.float32(100) / 255, np.float32(0)))


def test_an_array_is_taken_with_and_without_a_batch(tmp_path: Path) -> None:
    one, many = np.random.default_rng(0).random((2, 3, 28, 28), np.float32)
    assert np.array_equal(read_input(array(tmp_path / "a.npy", one[0]), SPEC, False)["image"], one[:1])
    assert np.array_equal(read_input(array(tmp_path / "b.npy", many), SPEC, False)["image"], many)


def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = Path(picture(tmp_path / "digit.png")).read_bytes()
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(data)))
    assert read_input("-", SPEC, False)["image"].shape == (1, 28, 28)


def test_another_size_is_refused_and_can_be_fitted(tmp_path: Path) -> None:
    source = picture(tmp_path / "large.png", (100, 50))
    with pytest.raises(UserError, match=r"expected a picture of 28x28 pixels. Received: 100x50. Use --resize"):
        read_input(source, SPEC, False)
    assert read_input(source, SPEC, resize=True)["image"].shape == (1, 28, 28)


BAD_ARRAYS = {
    "dtype": (np.zeros((28, 28)), r"expected float32 of shape \(N, 28, 28\) or \(28, 28\). Received: float64"),
    "shape": (np.zeros((28, 27), np.float32), r"Received: float32 of shape \(28, 27\)"),
    "scalar": (np.float32(1), r"Received: float32 of shape \(\)"),
    "empty": (np.zeros((0, 28, 28), np.float32), r"Received: float32 of shape \(0, 28, 28\)"),
    "too deep": (np.zeros((1, 1, 28, 28), np.float32), r"Received: float32 of shape \(1, 1, 28, 28\)"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_an_array_that_does_not_fit_says_what_was_expected(tmp_path: Path, name: str) -> None:
    value, message = BAD_ARRAYS[name]
    with pytest.raises(UserError, match=message):
        read_input(array(tmp_path / "bad.npy", value), SPEC, False)


def test_a_pickled_array_is_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "evil.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"not a readable \.npy file"):
        read_input(str(path), SPEC, False)


BAD_FILES = {
    "text": b"I am not a picture",
    "truncated png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00",
    "truncated npy": b"\x93NUMPY\x01\x00",
    "empty": b"",
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_what_is_neither_is_one_clear_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bad"
    path.write_bytes(BAD_FILES[name])
    with pytest.raises(UserError, match="Received: ") as error:
        read_input(str(path), SPEC, False)
    assert "\n" not in str(error.value)
    assert "object at" not in str(error.value)


def test_a_picture_cut_in_the_middle(tmp_path: Path) -> None:
    source = Path(picture(tmp_path / "digit.png"))
    source.write_bytes(source.read_bytes()[:-30])
    with pytest.raises(UserError, match="not a readable picture"):
        read_input(str(source), SPEC, False)


def test_no_such_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the input: No such file"):
        read_input(str(tmp_path / "nowhere.png"), SPEC, False)
    with pytest.raises(UserError, match="cannot read the input: Is a directory"):
        read_input(str(tmp_path), SPEC, False)


def test_sixteen_bits_a_pixel_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    eight = np.arange(784, dtype=np.uint32).reshape(28, 28) % 256
    Image.fromarray((eight * 257).astype(np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(eight.astype(np.uint8)).save(tmp_path / "plain.png")
    deep, plain = (read_input(str(tmp_path / name), SPEC, False)["image"] for name in ("deep.png", "plain.png"))
    assert np.array_equal(deep, plain)


def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    Image.new("1", (10_000, 6_000)).save(tmp_path / "large.png")
    assert (tmp_path / "large.png").stat().st_size < 100_000
    with pytest.raises(UserError, match=r"a picture of 50000000 pixels at most. Received: 10000x6000"):
        read_input(str(tmp_path / "large.png"), SPEC, resize=True)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused(tmp_path: Path, bad: float) -> None:
    value = np.zeros((28, 28), np.float32)
    value[3, 3] = bad
    with pytest.raises(UserError, match="expected finite numbers"):
        read_input(array(tmp_path / "bad.npy", value), SPEC, False)


def test_a_header_that_promises_too_much(tmp_path: Path) -> None:
    header = str({"descr": "<f4", "fortran_order": False, "shape": (10**12, 28, 28)}).encode().ljust(117) + b"\n"
    path = tmp_path / "huge.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(UserError, match=r"not a readable \.npy file"):
        read_input(str(path), SPEC, False)


def arrays(path: Path, **values: np.ndarray) -> str:
    np.savez(path, **values)
    return str(path)


def test_a_model_of_several_inputs_takes_an_npz_file(tmp_path: Path) -> None:
    rows = TWO_INPUTS.spec.draw(3, {}, 1)
    read = read_input(arrays(tmp_path / "rows.npz", **rows), TWO_INPUTS.spec, False)
    assert {name: one.shape for name, one in read.items()} == {"left": (3, 4), "right": (3, 3)}
    assert all(np.array_equal(read[name], rows[name]) for name in rows)
    single = {name: one[0] for name, one in rows.items()}
    assert read_input(arrays(tmp_path / "row.npz", **single), TWO_INPUTS.spec, False)["left"].shape == (1, 4)


@pytest.mark.parametrize("length", [2, 7, 40])
def test_a_free_dimension_takes_any_length(tmp_path: Path, length: int) -> None:
    rows = EMBEDDING.spec.draw(2, {"length": length}, 1)
    assert read_input(arrays(tmp_path / "a.npz", **rows), EMBEDDING.spec, False)["ids"].shape == (2, length)


LEFT, RIGHT = np.zeros((2, 4), "float32"), np.zeros((2, 3), "float32")
BAD_ARCHIVES = {
    "one is missing": ({"left": LEFT}, "expected the arrays left, right. Received: left"),
    "one too many": ({"left": LEFT, "right": RIGHT, "x": LEFT}, "the arrays left, right. Received: left, right, x"),
    "unequal rows": ({"left": LEFT, "right": RIGHT[:1]}, "the same number of rows in left, right. Received: 2, 1"),
    "wrong dtype": ({"left": LEFT.astype(int), "right": RIGHT}, r"float32 of shape \(N, 4\) or \(4\). Received: int64"),
    "other names": ({"x": LEFT}, "expected the arrays left, right. Received: x"),
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_an_npz_file_that_does_not_fit_says_what_was_expected(tmp_path: Path, name: str) -> None:
    values, message = BAD_ARCHIVES[name]
    with pytest.raises(UserError, match=message):
        read_input(arrays(tmp_path / "bad.npz", **values), TWO_INPUTS.spec, False)


def told(path: Path) -> str:
    """The message about a file; empty if it is taken."""
    try:
        read_input(str(path), TWO_INPUTS.spec, False)
    except UserError as error:
        return str(error)
    return ""


def test_a_damaged_npz_file_is_one_line(tmp_path: Path) -> None:
    whole = Path(arrays(tmp_path / "whole.npz", left=LEFT, right=RIGHT)).read_bytes()
    for place in range(4, len(whole), 7):
        damaged = tmp_path / "damaged.npz"
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        assert "\n" not in told(damaged)
    (tmp_path / "cut.npz").write_bytes(whole[:50])
    with pytest.raises(UserError, match=r"is not a readable \.npz file of left, right"):
        read_input(str(tmp_path / "cut.npz"), TWO_INPUTS.spec, False)


def test_what_a_model_does_not_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected an \.npz file of left, right. Received: another file"):
        read_input(array(tmp_path / "a.npy", LEFT), TWO_INPUTS.spec, False)
    with pytest.raises(UserError, match=r"expected an \.npy file of float32 of shape \(N, 7\) or \(7\)"):
        read_input(picture(tmp_path / "a.png"), PLAIN.spec, False)
