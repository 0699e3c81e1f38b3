"""Says what the measured networks have in common in both frameworks: inputs, first weights, work, comparisons.

Nothing here imports a framework.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.base.errors import SlipwayError

WIDTHS = (4, 8, 16, 32, 64)
FAMILY = {f"cnn{width}": width for width in WIDTHS}
"""One network in five widths: four convolutions of 3x3 over pictures of 16x16, each with a batch norm."""
OTHERS = ("mnist_cnn", "residual_cnn", "transformer")
INPUTS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(FAMILY, (16, 16, 3)),
    "mnist_cnn": (28, 28),
    "residual_cnn": (32, 32, 3),
    "transformer": (32,),
}
"""The shape of one row of input, channels last; the transformer takes token numbers."""
CLASSES, TOKENS, SIZE, HEADS, INNER, BLOCKS = 10, 1000, 128, 4, 256, 2
STAGES = (16, 32, 64)
"""Channels of the residual network's stages."""
BATCH = 32
"""Rows of a training step."""
BATCHES = 4
"""Different batches that training steps take in turn."""
RATE, MOMENTUM = 0.01, 0.9
"""Of plain SGD: its rule is the same in both frameworks, term by term; Adam's is not."""
NORM_EPSILON, NORM_MOMENTUM = 1e-3, 0.1
PROJECTIONS = 8


@dataclass(frozen=True, slots=True)
class StepTrial:
    """A network in one arm, ready to be measured.

    ``step(n)`` trains on batch n and returns the loss; ``weights`` returns the trained weights under PyTorch's names
    and in its layouts; ``calls`` are predictions, by name; ``reset`` forgets what was compiled before.
    """

    step: Callable[[int], Any]
    weights: Callable[[], Mapping[str, np.ndarray]]
    calls: Mapping[str, Callable[[], Any]]
    reset: Callable[[], None] = lambda: None


def inputs(net: str, rows: int, seed: int) -> np.ndarray:
    """Return rows of input: float32 (rows, height, width[, channels]) in 0..1, or int64 (rows, length) of tokens."""
    draw, shape = np.random.default_rng((seed, rows)), (rows, *INPUTS[net])
    if len(shape) == 2:
        return draw.integers(0, TOKENS, shape)
    return draw.random(shape, np.float32)


def labels(rows: int, seed: int) -> np.ndarray:
    """Return a class for each row, int64 (rows,)."""
    return np.random.default_rng((seed, rows, 1)).integers(0, CLASSES, rows)


def drawn(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return first weights for a network's arrays (PyTorch's names and layouts): the same for the same names.

    Weights are normal with a variance of 2 over the inputs of a neuron (He et al., arXiv:1502.01852), norms are 1,
    biases and means 0.
    """
    found = {}
    for name, array in state.items():
        if array.ndim > 1:
            scale = np.sqrt(2 / np.prod(array.shape[1:]))
            draw = np.random.default_rng(zlib.crc32(name.encode()))
            found[name] = (draw.standard_normal(array.shape) * scale).astype(np.float32)
        else:
            ones = name.endswith((".weight", ".running_var"))
            found[name] = np.full(array.shape, float(ones), np.float32)
    return found


def family_work(width: int) -> float:
    """Return the floating-point operations of one training step of the family: its convolutions and last layer.

    A multiplication with its addition counts as two; a step takes three forward passes' worth.
    """
    layers = ((3, width, 256), (width, width, 256), (width, 2 * width, 64), (2 * width, 2 * width, 64))
    products = sum(9 * inside * outside * places for inside, outside, places in layers) + 2 * width * CLASSES
    return 3.0 * 2.0 * products * BATCH


def fingerprint(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the length of the change of the trained weights, and its projections on PROJECTIONS fixed directions.

    A projection of the difference of two changes on a random direction of +-1 is as large as that difference, on
    average. The running figures of batch norms are left out: the frameworks define the variance differently.
    """
    names = sorted(name for name in before if ".running_" not in name)
    change = np.concatenate([(np.asarray(after[name], float) - before[name]).ravel() for name in names])
    draw = np.random.default_rng(0)
    directions = draw.integers(0, 2, (PROJECTIONS, len(change)), np.int8)
    found = [float(np.where(direction, change, -change).sum()) for direction in directions]
    return {"norm": float(np.linalg.norm(change)), "projections": found}


def apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return how far two changes of weights are apart, as a share of the first one's length.

    Raises SlipwayError if one of them is nothing, or not finite.
    """
    lengths = [one["norm"], other["norm"]]
    if not np.all(np.isfinite(lengths)) or min(lengths) <= 0:
        raise SlipwayError(f"training must change the weights by a finite amount. Received: {lengths}")
    return float(np.max(np.abs(np.subtract(one["projections"], other["projections"])))) / lengths[0]
