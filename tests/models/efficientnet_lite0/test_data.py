"""The labels, and the rows made of real photographs."""

from __future__ import annotations

import numpy as np
import pytest

from models.efficientnet_lite0 import SPEC, data
from models.spec import Uniform, fits


def test_every_class_has_a_name_of_its_own() -> None:
    labels = SPEC.labels
    assert len(set(labels)) == len(labels) == SPEC.outputs[0].shape[1] == 1000
    assert all(label and label == label.strip() for label in labels)


@pytest.mark.parametrize(
    ("number", "name"),
    [(0, "tench"), (281, "tabby"), (282, "tiger cat"), (285, "Egyptian cat"), (999, "toilet tissue")],
)
def test_the_names_are_in_the_order_of_the_classes(number: int, name: str) -> None:
    assert SPEC.labels[number] == name


def test_the_rows_are_the_same_every_time_distinct_and_in_range() -> None:
    first, second = data.load(), data.load()
    values = SPEC.inputs[0].values
    assert isinstance(values, Uniform)
    for rows, again, count in ((first.test, second.test, 75), (first.train, second.train, 64)):
        images = rows.inputs["image"]
        assert np.array_equal(images, again.inputs["image"])
        assert len({row.tobytes() for row in images}) == len(rows) == count
        assert images.dtype == np.float32
        assert fits(images.shape, SPEC.inputs[0].sizes)
        assert values.low <= images.min() < -0.9
        assert 0.9 < images.max() <= values.high


def test_no_row_for_calibration_is_one_for_evaluation() -> None:
    """Neither mirrored nor under noise, which alone makes a mean difference of sqrt(2 / pi) times its deviation."""
    split = data.load()
    seen, calibrating = (part.inputs["image"][:, 4::8, 4::8] for part in (split.test, split.train))
    nearest = min(np.abs(seen - one).mean((1, 2, 3)).min() for row in calibrating for one in (row, row[:, ::-1]))
    assert nearest > 1.1 * data.NOISE * (2 / np.pi) ** 0.5


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(data.SOURCES, "no-such-package", ("folder", ("file.png",)))
    with pytest.raises(ImportError, match="no-such-package is not installed"):
        data.photographs()
