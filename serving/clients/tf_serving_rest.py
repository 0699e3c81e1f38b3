"""Speak TensorFlow Serving's REST API: JSON in columnar format, ``{"inputs": {...}}`` for ``{"outputs": ...}``.

Columnar format is shorter than row format: it sends each name once, not once per row. Strings (arrays
of text, or object arrays of bytes) are sent as ``{"b64": ...}``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson

from serving.clients import Call, ProtocolError, Target

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def call(target: Target, body: bytes = b"") -> Call:  # noqa: ARG001 - as Client
    """Make a POST to the model's newest version, with the bearer token if there is one."""
    headers = {"Content-Type": "application/json", **target.authorization}
    return Call(target.url, f"/v1/models/{quote(target.model, safe='')}:predict", headers)


def encode(target: Target, inputs: Mapping[str, np.ndarray]) -> bytes:  # noqa: ARG001 - the contract of clients
    """Make the body of a request."""
    document = {"inputs": {name: _json_value(array) for name, array in inputs.items()}}
    if all(np.isfinite(array).all() for array in inputs.values() if array.dtype.kind == "f"):
        return orjson.dumps(document, option=_OPTIONS)
    # orjson would write null for NaN and the infinities; this API expects them as bare tokens.
    return json.dumps(document, default=lambda array: array.tolist()).encode()


def decode(target: Target, body: bytes) -> dict[str, np.ndarray]:
    """Return the outputs of a response body.

    Raises:
        ProtocolError: it is not a JSON object, has the key "error", lacks an output, is ragged or of another dtype.
    """
    document = _parse(body)
    if not isinstance(document, dict):
        raise ProtocolError(f"the answer must be a JSON object. Received: {body[:200]!r}")
    if "error" in document:
        raise ProtocolError(f"the server says: {document['error']}")
    if "outputs" not in document:
        raise ProtocolError(f"the key 'outputs' is missing. Received: {', '.join(document) or 'no key'}")
    values = document["outputs"]
    if len(target.outputs) == 1:
        (name,) = target.outputs
        if not isinstance(values, dict) or set(values) == {"b64"}:
            values = {name: values}  # a single output is sent without its name
    if not isinstance(values, dict):
        raise ProtocolError(f"'outputs' must be an object with one key per output. Received: {type(values).__name__}")
    missing = [name for name in target.outputs if name not in values]
    if missing:
        raise ProtocolError(f"outputs are missing: {', '.join(missing)}. Received: {', '.join(values) or 'none'}")
    return {name: _array(name, values[name], dtype) for name, dtype in target.outputs.items()}


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass  # may contain NaN or Infinity, which this API allows though JSON does not
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON ({error}). Received: {body[:200]!r}") from error


def _json_value(array: np.ndarray) -> Any:
    if array.dtype.kind in "OSU":
        return _strings(array.tolist())
    return np.ascontiguousarray(array) if array.ndim else array.item()


def _strings(value: Any) -> Any:
    if isinstance(value, list):
        return [_strings(item) for item in value]
    content = value.encode() if isinstance(value, str) else value
    return {"b64": base64.b64encode(content).decode("ascii")}


def _array(name: str, value: Any, dtype: str) -> np.ndarray:
    try:
        array = np.array(value)
        if dtype == "object":
            return np.vectorize(_bytes, otypes=[object])(np.array(value, dtype=object))
        kinds = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}[np.dtype(dtype).kind]
        if array.size and array.dtype.kind not in kinds:
            raise ValueError(f"values of kind {array.dtype}")
        return array.astype(dtype, copy=False)
    except (KeyError, ValueError, TypeError) as error:
        raise ProtocolError(f"output {name} is not an array of {dtype}: {error}") from error


def _bytes(value: Any) -> bytes:
    if isinstance(value, dict):
        return base64.b64decode(value["b64"], validate=True)
    if not isinstance(value, str):
        raise ValueError(f"a string is expected. Received: {type(value).__name__}")
    return value.encode()
