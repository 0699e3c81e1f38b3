"""Convert TensorProto (tensorflow/core/framework/tensor.proto) to NumPy and back, without Python objects per value.

``tf.make_ndarray`` and ``tf.make_tensor_proto`` do the same, but take up to a hundred times as long
for values in ``float_val``. Most clients send values in that field, and TensorFlow Serving answers in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

MAX_RANK = 64
"""NumPy's limit; TensorFlow's own is 254."""


_MOST = 2**58  # NumPy's limit for values of 16 bytes; it ignores dimensions of size 0

_FLOAT_VAL, _DOUBLE_VAL = 5, 6  # field numbers of packed fields with the same bytes as the array
_RAW_FIELDS = {"float": (_FLOAT_VAL, "<f4"), "double": (_DOUBLE_VAL, "<f8")}
_VALUE_FIELDS = {
    "half": "half_val",
    "bfloat16": "half_val",
    "int32": "int_val",
    "int16": "int_val",
    "int8": "int_val",
    "uint16": "int_val",
    "uint8": "int_val",
    "string": "string_val",
    "complex64": "scomplex_val",
    "int64": "int64_val",
    "bool": "bool_val",
    "complex128": "dcomplex_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
}
_BITS = {"half", "bfloat16"}  # sent as integers with the same bits
_PAIRS = {"complex64": "<f4", "complex128": "<f8"}  # sent as alternating real and imaginary parts


class TensorParsingError(Exception):
    """The message is not a tensor."""


def _accept(_size: int) -> None:
    """Accept any size."""


def to_array(proto: Any, dtype: str, numpy: np.dtype[Any], grow: Callable[[int], None] = _accept) -> np.ndarray:
    """Read the array of a message of type ``dtype``; strings give an object array of bytes.

    ``grow`` is called with the size of an array that is larger than its message, and may raise an error of its own.

    As in TensorFlow (Tensor::FromProto), ``tensor_content`` takes precedence. Missing repeated values are
    copies of the last one, or zero if there are none.

    Raises:
        TensorParsingError: an unknown shape or dtype, or content of the wrong size.
    """
    if proto.tensor_shape.unknown_rank:
        raise TensorParsingError("the shape is unknown")
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if any(size < 0 for size in shape):
        raise TensorParsingError(f"a dimension is negative: {shape}")
    if len(shape) > MAX_RANK:
        raise TensorParsingError(f"{len(shape)} dimensions are more than {MAX_RANK}")
    if math.prod(size or 1 for size in shape) > _MOST:
        raise TensorParsingError(f"the shape {shape} is too large for an array")
    count = math.prod(shape)
    if proto.tensor_content:
        if dtype == "string" or len(proto.tensor_content) != count * numpy.itemsize:
            raise TensorParsingError(f"tensor_content does not fill {shape} of {dtype}")
        return np.frombuffer(proto.tensor_content, numpy).reshape(shape)
    return _fill(_values(proto, dtype, numpy), count, numpy, grow).reshape(shape)


def _values(proto: Any, dtype: str, numpy: np.dtype[Any]) -> np.ndarray:
    if dtype in _RAW_FIELDS:
        number, wire = _RAW_FIELDS[dtype]
        return np.frombuffer(_packed(proto.SerializeToString(), number), wire)
    if dtype not in _VALUE_FIELDS:
        raise TensorParsingError(f"dtype {dtype} is not supported")
    values = getattr(proto, _VALUE_FIELDS[dtype])
    if dtype == "string":
        texts = np.empty(len(values), object)
        texts[:] = values
        return texts
    if dtype in _BITS:
        return np.array(values, np.int64).astype(np.uint16).view(numpy)  # the low bits, as in a C++ cast
    if dtype in _PAIRS:
        return np.array(values[: len(values) // 2 * 2], _PAIRS[dtype]).view(numpy)
    return np.array(values, np.int64 if numpy.kind == "i" else np.uint64).astype(numpy)


def _fill(values: np.ndarray, count: int, numpy: np.dtype[Any], grow: Callable[[int], None]) -> np.ndarray:
    if len(values) == count:
        return values
    if len(values) > count:
        return values[:count]
    grow(count * numpy.itemsize)  # a message of a few bytes can declare a huge tensor
    filler: Any = values[-1] if len(values) else (b"" if numpy.hasobject else 0)
    try:
        array = np.full(count, filler, numpy)
    except (MemoryError, ValueError) as error:
        raise TensorParsingError(f"{count} values do not fit in memory") from error
    array[: len(values)] = values
    return array


def from_array(proto: Any, array: np.ndarray, dtype: str, enum: int, as_content: bool) -> None:
    """Fill an empty message: ``tensor_content`` if ``as_content``, else the repeated field of the dtype."""
    proto.dtype = enum
    proto.tensor_shape.SetInParent()  # a scalar has a shape without dimensions
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if dtype == "string":
        proto.string_val.extend(array.reshape(-1).tolist())
    elif as_content:
        proto.tensor_content = array.tobytes()
    elif dtype in _RAW_FIELDS:
        number, wire = _RAW_FIELDS[dtype]
        raw = array.astype(wire, copy=False).tobytes()
        # A packed field is encoded as tag, length and exactly these bytes, so merging only copies them.
        proto.MergeFromString(bytes([number << 3 | 2]) + _varint(len(raw)) + raw)
    elif dtype in _BITS:
        proto.half_val.extend(array.reshape(-1).view(np.uint16).tolist())
    elif dtype in _PAIRS:
        getattr(proto, _VALUE_FIELDS[dtype]).extend(array.reshape(-1).view(_PAIRS[dtype]).tolist())
    else:
        getattr(proto, _VALUE_FIELDS[dtype]).extend(array.reshape(-1).tolist())


def _packed(message: bytes, number: int) -> memoryview:
    """Find the bytes of a packed field in a serialised message (protobuf's wire format, "Message Structure")."""
    view = memoryview(message)
    position = 0
    while position < len(view):
        tag, position = _read_varint(view, position)
        wire_type = tag & 7
        if wire_type == 2:
            length, position = _read_varint(view, position)
            if tag >> 3 == number:
                return view[position : position + length]
            position += length
        elif wire_type == 0:
            _, position = _read_varint(view, position)
        else:
            position += 8 if wire_type == 1 else 4
    return view[:0]


def _read_varint(view: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
