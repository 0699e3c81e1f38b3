"""The data and the first weights of the small network that every style trains."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

SIZES = (8, 16, 16, 3)
ROWS = 64
EPOCHS = 2


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return float32 inputs (64, 8) and int64 classes (64,), 0 to 2."""
    draw = np.random.default_rng(11)
    x = draw.normal(size=(ROWS, SIZES[0])).astype("float32")
    return x, (x @ draw.normal(size=(SIZES[0], SIZES[-1]))).argmax(1).astype("int64")


def weights() -> list[np.ndarray]:
    """Return the first weights: for each layer the kernel (inputs, outputs) and the bias (outputs,), float32."""
    draw = np.random.default_rng(12)
    found = []
    for before, after in pairwise(SIZES):
        found += [(draw.normal(size=(before, after)) / before**0.5).astype("float32"), np.zeros(after, "float32")]
    return found
