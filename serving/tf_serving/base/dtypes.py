"""Describe the tensors of a signature, with all three names of their element types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]
"""Tensors by name."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output of a signature.

    ``name`` is its alias in the signature, ``tensor`` its name in the graph. ``dtype`` is TensorFlow's name
    of the element type ("float", "int64", "string"), ``enum`` its number, ``numpy`` the NumPy type.
    """

    name: str
    tensor: str
    dtype: str
    enum: int
    numpy: np.dtype[Any]


def tensor_infos(infos: Mapping[str, Any]) -> dict[str, TensorInfo]:
    """Read the tensors of a SignatureDef's ``inputs`` or ``outputs``, by name in alphabetical order."""
    import tensorflow as tf

    return {
        alias: TensorInfo(
            alias,
            infos[alias].name,
            dtype_name(infos[alias].dtype),
            infos[alias].dtype,
            np.dtype(tf.dtypes.as_dtype(infos[alias].dtype).as_numpy_dtype),
        )
        for alias in sorted(infos)
    }


def dtype_name(enum: int) -> str:
    """Return TensorFlow's name of an element type in messages: "float", "double", "half", "int32" ..."""
    from tensorflow.core.framework import types_pb2

    return types_pb2.DataType.Name(enum).removeprefix("DT_").lower()
