"""Write arrays as the body of a REST predict response.

The layout is that of tensorflow/serving (util/json_tensor.cc, MakeJsonFromTensors). Floats are
written in the shortest form that reads back exactly *in their own precision*: 0.1, not
0.10000000149011612, for a float32.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import orjson

from serving.tf_serving.base.dtypes import Arrays
from serving.tf_serving.base.errors import invalid

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY
_WRITABLE = frozenset(map(np.dtype, ["f4", "f8", "i1", "i2", "i4", "i8", "u1", "u4", "u8", "?"]))
_NAMES = {"float16": "half"}


def predict_body(outputs: Arrays, rows: bool) -> bytes:
    """Make the response to a request in row format (``predictions``) or columnar format (``outputs``).

    Raises:
        ServingError: INVALID_ARGUMENT, the outputs cannot be written in this format.
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    for array in outputs.values():
        if array.dtype not in _WRITABLE and array.dtype != object:
            raise invalid(
                f"Failed to write JSON value for tensor type: {_NAMES.get(array.dtype.name, array.dtype.name)}"
            )
    if rows:
        _check_batch(outputs)
    values = {name: _value(name, array) for name, array in outputs.items()}
    content: Any
    if len(values) == 1:
        (content,) = values.values()
    elif rows:
        content = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    else:
        content = values
    with_tokens = any(array.dtype.kind == "f" and not np.isfinite(array).all() for array in outputs.values())
    return _dump({"predictions" if rows else "outputs": content}, with_tokens)


def error_body(message: str) -> bytes:
    """Make the body of an error response."""
    return _dump({"error": message})


def _check_batch(outputs: Arrays) -> None:
    batch: int | None = None
    for name, array in outputs.items():
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if batch is not None and len(array) != batch:
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {batch}")
        batch = len(array)


def _value(name: str, array: np.ndarray) -> Any:
    """Prepare an output for :func:`_dump`: an array that orjson can write, or nested lists."""
    if array.dtype == object:
        return _texts(array, as_bytes=name.endswith("_bytes")).tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return _with_tokens(array).tolist()
    if array.ndim == 0 or array.size == 0:
        return array[()] if array.ndim == 0 else array.tolist()
    return np.ascontiguousarray(array)


def _texts(array: np.ndarray, as_bytes: bool) -> np.ndarray:
    texts = np.empty(array.shape, object)
    flat = texts.reshape(-1)
    for index, item in enumerate(array.reshape(-1)):
        if as_bytes:
            flat[index] = {"b64": base64.b64encode(item).decode("ascii")}
        else:
            flat[index] = item.decode("utf-8", "surrogateescape")
    return texts


def _with_tokens(array: np.ndarray) -> np.ndarray:
    """Convert to Python floats that print in the shortest form of ``array``'s own precision."""
    finite = np.isfinite(array)
    flat = np.ascontiguousarray(np.where(finite, array, 0)).reshape(-1)
    shortest = np.array(orjson.loads(orjson.dumps(flat, option=_OPTIONS)), np.float64).reshape(array.shape)
    return np.where(finite, shortest, array.astype(np.float64))


def _dump(content: Any, with_tokens: bool = False) -> bytes:
    if not with_tokens:
        try:
            return orjson.dumps(content, option=_OPTIONS)
        except orjson.JSONEncodeError:
            pass  # text that is not UTF-8: its bytes are sent unchanged
    text = json.dumps(content, ensure_ascii=False, default=_plain)  # writes NaN and Infinity; orjson writes null
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # the message quotes a request with an escaped half of a surrogate pair
        return text.encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    """Convert an array or a NumPy scalar for the standard library, with the digits that orjson writes."""
    return orjson.loads(orjson.dumps(value, option=_OPTIONS))
