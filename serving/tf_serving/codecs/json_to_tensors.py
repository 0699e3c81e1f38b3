"""Convert the body of a REST predict request into arrays.

Rules and messages are those of tensorflow/serving (util/json_tensor.cc). Regular data is converted
level by level with functions that loop in C. Data that fails is read again value by value, to name
the first wrong value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from serving.tf_serving.base.dtypes import Arrays, TensorInfo
from serving.tf_serving.base.errors import ServingError, invalid
from serving.tf_serving.codecs.json_base64 import decode_base64, is_base64
from serving.tf_serving.codecs.json_text import brief, encode_text, parse, type_name
from serving.wire.tensor_proto import MAX_RANK


def document(body: bytes) -> dict[str, Any]:
    """Parse the JSON object of a request.

    Raises:
        ServingError: INVALID_ARGUMENT, it is not JSON, not an object, or its signature_name is not a string.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty.")
    value = parse(body)
    if not isinstance(value, dict):
        raise invalid(f"JSON Value: {brief(value)} Is not object")
    if not isinstance(value.get("signature_name", ""), str):
        raise invalid(
            f"JSON Value: {brief(value)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return value


def predict_inputs(request: dict[str, Any], inputs: Mapping[str, TensorInfo]) -> tuple[Arrays, bool]:
    """Return the arrays of a predict request by input name, and True if it is in row format.

    Raises:
        ServingError: INVALID_ARGUMENT, or UNIMPLEMENTED for a dtype that JSON cannot represent.
    """
    if not inputs:
        raise invalid(f"Failed to get input map for signature: {request.get('signature_name') or 'DEFAULT'}")
    has_rows, has_columns = "instances" in request, "inputs" in request
    if has_rows and has_columns:
        raise invalid(
            f"JSON Value: {brief(request)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist "
        )
    if has_columns:
        return _columns(request["inputs"], inputs), False
    if not has_rows:
        raise invalid("Missing 'inputs' or 'instances' key")
    rows = request["instances"]
    if not isinstance(rows, list):
        raise invalid(f"JSON Value: {brief(request)} Expecting 'instances' to be an list/array")
    if not rows:
        raise invalid(f"JSON Value: {brief(request)} No values in 'instances' array")
    return _rows(rows, inputs), True


def _columns(value: Any, inputs: Mapping[str, TensorInfo]) -> Arrays:
    if not isinstance(value, dict) or is_base64(value):
        if len(inputs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required "
                "as per tensorinfo_map"
            )
        return {name: dense(value, info) for name, info in inputs.items()}
    for name in inputs:
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: dense(value[name], info) for name, info in inputs.items()}


def _rows(rows: list[Any], inputs: Mapping[str, TensorInfo]) -> Arrays:
    if not isinstance(rows[0], dict) and len(inputs) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required "
            "as per tensorinfo_map"
        )
    are_objects = _is_object(rows[0])
    for index, row in enumerate(rows if dict in set(map(type, rows)) else ()):
        if are_objects and not _is_object(row):
            raise invalid(f"Expecting object but got list at item {index} of input list")
        if are_objects and row.keys() != inputs.keys():
            raise _wrong_keys(row, index, inputs)
        if not are_objects and _is_object(row):
            raise invalid(f"Expecting value/list but got object at item {index} of input list")
    if are_objects:
        return {name: _batch([row[name] for row in rows], info, f" key: {name}") for name, info in inputs.items()}
    (name,) = inputs
    return {name: _batch(rows, inputs[name], "")}


def _wrong_keys(row: dict[str, Any], index: int, inputs: Mapping[str, TensorInfo]) -> ServingError:
    for name in row:
        if name not in inputs:
            return invalid(
                f"Failed to process element: {index} key: {name} of 'instances' list. Error: INVALID_ARGUMENT: "
                f"JSON object: does not have named input: {name}"
            )
    return invalid(
        f"Failed to process element: {index} of 'instances' list. JSON object: {brief(row)} "
        f"keys must be equal to: {','.join(sorted(inputs))}"
    )


def _batch(elements: list[Any], info: TensorInfo, key: str) -> np.ndarray:
    """Make one array with one element per row; ``key`` is text for messages."""
    try:
        return dense(elements, info)
    except ServingError as error:
        whole = error.code, error.message  # keeping the error itself would keep this frame and the body in memory
    index = 0
    try:
        first = dense(elements[0], info)
        found = _first(elements, lambda part: _fit(part, first.shape, info))
        if found is not None:
            index = found
            element = dense(elements[found], info)
            if element.size != first.size:
                raise invalid(f"Expecting tensor size: {first.size} but got: {element.size}")
            if element.shape != first.shape:
                raise invalid(f"Expecting shape {_shape_text(first)} but got: {_shape_text(element)}")
    except ServingError as error:
        raise ServingError(
            error.code, f"Failed to process element: {index}{key} of 'instances' list. Error: {error}"
        ) from error
    raise ServingError(*whole)


def _shape_text(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def dense(value: Any, info: TensorInfo) -> np.ndarray:
    """Convert a value, or lists of values nested to any depth, into an array of the input's dtype.

    Raises:
        ServingError: INVALID_ARGUMENT, the lists are ragged or contain a value of another type.
    """
    shape: list[int] = []
    level = [value]
    while level and isinstance(level[0], list):
        if set(map(type, level)) != {list} or len(set(map(len, level))) != 1:
            raise _first_offender(value, info)
        shape.append(len(level[0]))
        level = list(chain.from_iterable(level))
    if len(shape) > MAX_RANK:
        raise invalid(f"JSON Value: {brief(value)} is nested {len(shape)} deep; a tensor has at most {MAX_RANK} dims")
    try:
        convert = _LEAVES[info.dtype]
    except KeyError:
        raise _unsupported(value, info) from None
    array = convert(level, info)
    if array is None:
        raise _first_offender(value, info)
    return array.reshape(shape)


# Functions that convert a flat list of JSON values into a flat array, or return None if a value has another type.


def _floats(leaves: list[Any], info: TensorInfo) -> np.ndarray | None:
    if not set(map(type, leaves)) <= {int, float}:
        return None
    with np.errstate(over="ignore"):  # the API turns what a double holds and a float does not into infinity
        return np.array(leaves, np.float64).astype(info.numpy, copy=False)


def _integers(leaves: list[Any], info: TensorInfo) -> np.ndarray | None:
    limits = np.iinfo(info.numpy)
    if leaves and (set(map(type, leaves)) != {int} or min(leaves) < limits.min or max(leaves) > limits.max):
        return None
    return np.array(leaves, info.numpy)


def _booleans(leaves: list[Any], _info: TensorInfo) -> np.ndarray | None:
    return np.array(leaves, np.bool_) if set(map(type, leaves)) <= {bool} else None


def _strings(leaves: list[Any], _info: TensorInfo) -> np.ndarray | None:
    if not set(map(type, leaves)) <= {str, dict}:
        return None
    array = np.empty(len(leaves), object)
    array[:] = [decode_base64(leaf) if isinstance(leaf, dict) else encode_text(leaf) for leaf in leaves]
    return array


_LEAVES: dict[str, Callable[[list[Any], TensorInfo], np.ndarray | None]] = {
    **dict.fromkeys(["float", "double"], _floats),
    **dict.fromkeys(["int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"], _integers),
    "bool": _booleans,
    "string": _strings,
}


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _first_offender(value: Any, info: TensorInfo) -> ServingError:
    """Make the error for the first value, in reading order, that does not fit the dtype or the shape seen so far."""
    shape = []
    inner = value
    while isinstance(inner, list):
        shape.append(len(inner))
        if not inner:
            break
        inner = inner[0]
    item, level = value, 0
    while isinstance(item, list):
        if level >= len(shape):
            return invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(item) != shape[level]:
            return invalid(
                f"Encountered list at unexpected size: {len(item)} at level: {level} expected size: {shape[level]}"
            )
        level += 1
        index = _first(item, lambda part: _fit(part, shape[level:], info))  # noqa: B023 - called at once
        if index is None:
            return invalid(f"JSON Value: {brief(value)} does not fit the input {info.name}")
        item = item[index]
    if level != len(shape):
        return invalid(
            f"JSON Value: {brief(item)} found at incorrect level: {level + 1} in the JSON DOM. "
            f"Expected at level: {len(shape)}"
        )
    if info.dtype not in _LEAVES:
        return _unsupported(item, info)
    try:
        _LEAVES[info.dtype]([item], info)
    except ServingError as error:
        return error
    return invalid(f"JSON Value: {brief(item)} Type: {type_name(item)} is not of expected type: {info.dtype}")


def _first(items: list[Any], fit: Callable[[list[Any]], bool]) -> int | None:
    """Find the first item that does not fit, by halves: a check of many items at once costs little for each."""
    if fit(items):
        return None
    start, end = 0, len(items)
    while end - start > 1:
        middle = (start + end) // 2
        if fit(items[start:middle]):
            start = middle
        else:
            end = middle
    return start


def _fit(items: list[Any], shape: Sequence[int], info: TensorInfo) -> bool:
    """Return True if each item is of this shape, with values of the input's dtype."""
    level = items
    for size in shape:
        if not level:
            return True
        if set(map(type, level)) != {list} or set(map(len, level)) != {size}:
            return False
        level = list(chain.from_iterable(level))
    if not level:
        return True
    try:
        return info.dtype in _LEAVES and _LEAVES[info.dtype](level, info) is not None
    except ServingError:
        return False


def _unsupported(value: Any, info: TensorInfo) -> ServingError:
    return ServingError("UNIMPLEMENTED", f"Conversion of JSON Value: {brief(value)} to type: {info.dtype}")
