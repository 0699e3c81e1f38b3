"""The Open Inference Protocol's binary tensor data extension: JSON without the data, then the tensors' bytes.

Source: "Binary Tensor Data Extension" of KServe's and Triton's documentation. A body is a JSON object whose tensors
have the parameter ``binary_data_size`` in place of ``data``, followed by so many bytes for each of them, in their
order, little-endian, row-major. The HTTP header :data:`HEADER` says how long the JSON is. Used by the client and by
the server; imports neither.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from reprlib import repr as short  # what a client sent is shown, and not sent back whole
from typing import Any

import numpy as np
import orjson

from serving.wire.datatypes import DATATYPES

HEADER = "Inference-Header-Content-Length"
SIZE = "binary_data_size"
CONTENT_TYPE = "application/octet-stream"


def join(document: dict[str, Any], inputs: Mapping[str, np.ndarray]) -> bytes:
    """Return a request's body: ``document`` with the tensors' descriptions as ``inputs``, and their bytes.

    Raises KeyError for a dtype that the protocol does not know.
    """
    parts = [array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes() for array in inputs.values()]
    described = [
        {
            "name": name,
            "shape": array.shape,
            "datatype": DATATYPES[array.dtype.name],
            "parameters": {SIZE: len(part)},
        }
        for (name, array), part in zip(inputs.items(), parts, strict=True)
    ]
    return b"".join([orjson.dumps({**document, "inputs": described}), *parts])


def json_length(body: bytes) -> int:
    """Return the length of the JSON object at the body's beginning. Raises ValueError if there is none."""
    # Latin-1 has a character for each byte, so that places in the text are places in the bytes.
    value, end = json.JSONDecoder().raw_decode(body.decode("latin-1"))
    if not isinstance(value, dict):
        raise ValueError("the body must begin with a JSON object")
    return end


def split(body: bytes, length: int, key: str) -> tuple[dict[str, Any], list[bytes | None]]:
    """Return the JSON of ``length`` bytes, and the bytes of each tensor of its list ``key``, None if its data is JSON.

    Raises:
        ValueError: the lengths do not add up to the body's, or the JSON is not as the protocol has it.
    """
    if not 0 <= length <= len(body):
        raise ValueError(f"{HEADER} must be from 0 to the body's {len(body)} bytes. Received: {length}")
    try:
        document = orjson.loads(body[:length])
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the first {length} bytes, as {HEADER} says, are no JSON: {error}") from error
    tensors = document.get(key) if isinstance(document, dict) else None
    if not isinstance(tensors, list) or not all(isinstance(tensor, dict) for tensor in tensors):
        raise ValueError(f"the JSON must have a list of objects, {key!r}. Received: {body[: min(length, 80)]!r}")
    parts: list[bytes | None] = []
    start = length
    for tensor in tensors:
        size = _size(tensor)
        if size is not None and start + size > len(body):
            raise ValueError(
                f"tensor {short(tensor.get('name'))} must have {SIZE} {size}. Received: {len(body) - start} bytes of it"
            )
        parts.append(None if size is None else body[start : start + size])
        start += size or 0
    if start != len(body):
        raise ValueError(
            f"the JSON and its {SIZE} must make up the whole body. Received: {start} of {len(body)} bytes declared"
        )
    return document, parts


def _size(tensor: dict[str, Any]) -> int | None:
    """Return a tensor's bytes after the JSON; None if it has none there."""
    parameters = tensor.get("parameters")
    if not isinstance(parameters, dict) or SIZE not in parameters:
        return None
    size = parameters[SIZE]
    if type(size) is not int or size < 0 or "data" in tensor:
        received = "data as well" if "data" in tensor else short(size)
        raise ValueError(
            f"tensor {short(tensor.get('name'))}: {SIZE} is a whole number from 0 on, in place of data. "
            f"Received: {received}"
        )
    return size
