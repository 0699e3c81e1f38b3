"""Inputs unlike all training data are told apart from those that the model knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.dataset import InputRange
from models.mnist_cnn import data
from models.trained import TrainedModel
from pipelines.run.unusual import unusual


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return data.load().test.inputs["image"]


@pytest.fixture(scope="module")
def known() -> InputRange:
    return data.load().train.ranges()["image"]


def test_the_range_is_that_of_the_values_and_of_each_rows_mean_and_deviation() -> None:
    rows = np.array([[[0.0, 2.0]], [[5.0, 5.0]]], np.float32)
    assert InputRange.of(rows) == InputRange((0.0, 5.0), (1.0, 5.0), (0.0, 1.0))


def test_no_digit_of_the_test_data_is_unusual_and_each_is_when_light_and_dark_are_exchanged(
    digits: np.ndarray, known: InputRange
) -> None:
    assert [unusual(digit, known) for digit in digits] == [None] * len(digits)
    assert all("Invert it" in (unusual(1 - digit, known) or "") for digit in digits)


@pytest.mark.parametrize(
    ("factor", "advice"), [(255, "Scale them"), (1e30, "Scale them"), (-1, "Scale them"), (0, "Is the picture empty")]
)
def test_other_scales_and_empty_pictures(digits: np.ndarray, known: InputRange, factor: float, advice: str) -> None:
    told = unusual(digits[0] * np.float32(factor), known)
    assert told is not None
    assert advice in told


def test_predict_warns_of_made_pictures(cli: Any, trained: TrainedModel, digits: np.ndarray, tmp_path: Path) -> None:
    digit = np.rint(digits[0] * 255).astype(np.uint8)
    drawn, empty = Image.fromarray(digit), Image.new("L", (28, 28))
    # The same digit on a transparent ground, drawn in white and in black, and dark on light.
    Image.merge("LA", [Image.new("L", (28, 28), 255), drawn]).save(tmp_path / "white.png")
    Image.merge("LA", [empty, drawn]).save(tmp_path / "black.png")
    Image.fromarray(255 - digit).save(tmp_path / "dark.png")
    np.save(tmp_path / "bytes.npy", digit.astype(np.float32))
    names = ("white.png", "black.png", "dark.png", "bytes.npy")
    answers = cli.json("predict", "onnxruntime", *(str(tmp_path / name) for name in names))
    white, black, dark, unscaled = answers
    assert white["warning"] is None
    assert white["labels"][0]["label"] == str(trained.evaluation().labels[0])
    assert "dark on a transparent ground" in black["warning"]
    assert "Invert it" in dark["warning"]
    assert "expected values of 0 to 1. Received: 0 to 255. Scale them" in unscaled["warning"]
    told = cli("predict", "onnxruntime", str(tmp_path / "dark.png")).stderr
    assert f"slipway: warning: {tmp_path / 'dark.png'}: {dark['warning']}\n" in told
