"""Pad arrays of different sizes to a common shape (tensorflow/serving, batching/batching_util.cc)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from serving.tf_serving.base.errors import ServingError, invalid

MAX_RANK = 6
"""The largest rank of a tensor that can be padded, as in that code."""


def to_common_shape(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Pad the arrays at the end of every dimension except the first, to the largest size of that dimension.

    The padding is a copy of the array's own first element.

    Raises:
        ServingError: they have different ranks or more than 6 dimensions, or one of them is empty.
    """
    if len({array.ndim for array in arrays}) > 1:
        raise ServingError("FAILED_PRECONDITION", "Tensors of different ranks cannot be padded to one shape")
    if arrays[0].ndim > MAX_RANK:
        raise invalid(f"Only tensors with rank from 1 to {MAX_RANK} can be padded.")
    target = np.max([array.shape[1:] for array in arrays], axis=0)
    return [_grown(array, (len(array), *target.tolist())) for array in arrays]


def _grown(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if array.shape == shape:
        return array
    if not array.size:
        raise invalid("Got empty tensor in batch of non-empty tensors.")
    grown = np.full(shape, array.flat[0], array.dtype)
    grown[tuple(map(slice, array.shape))] = array
    return grown
