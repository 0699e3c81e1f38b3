"""Speak TensorFlow Serving's gRPC API: PredictionService.Predict with raw tensor bytes.

Messages: ``proto/tf_serving.proto``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from google.protobuf.message import DecodeError

from serving.clients import Call, ProtocolError, Target
from serving.clients.proto.tf_serving_pb2 import PredictRequest, PredictResponse
from serving.wire.tensor_proto import TensorParsingError, from_array, to_array

METHOD = "/tensorflow.serving.PredictionService/Predict"

_TYPES = {  # NumPy's name -> TensorFlow's name and number (tensorflow/core/framework/types.proto)
    "float32": ("float", 1),
    "float64": ("double", 2),
    "int32": ("int32", 3),
    "uint8": ("uint8", 4),
    "int16": ("int16", 5),
    "int8": ("int8", 6),
    "object": ("string", 7),
    "complex64": ("complex64", 8),
    "int64": ("int64", 9),
    "bool": ("bool", 10),
    "uint16": ("uint16", 17),
    "complex128": ("complex128", 18),
    "float16": ("half", 19),
    "uint32": ("uint32", 22),
    "uint64": ("uint64", 23),
}


def call(target: Target, body: bytes = b"") -> Call:  # noqa: ARG001 - as Client
    """Make a Predict call, with the bearer token if there is one."""
    return Call(target.url, METHOD, target.authorization)


def encode(target: Target, inputs: Mapping[str, np.ndarray]) -> bytes:
    """Make a PredictRequest to the model's newest version. Strings are arrays of text, or object arrays of bytes.

    Raises:
        ValueError: an array's dtype has no counterpart in TensorFlow.
    """
    request = PredictRequest()
    request.model_spec.name = target.model
    for name, array in inputs.items():
        if array.dtype.kind == "U":
            array = np.char.encode(array, "utf-8").astype(object)
        if array.dtype.name not in _TYPES:
            raise ValueError(f"input {name} has a dtype that TensorFlow does not have. Received: {array.dtype}")
        dtype, number = _TYPES[array.dtype.name]
        from_array(request.inputs[name], array, dtype, number, as_content=True)
    return request.SerializeToString()


def decode(target: Target, body: bytes) -> dict[str, np.ndarray]:
    """Return the outputs of a PredictResponse, sent as tensor_content or as repeated values.

    Raises:
        ProtocolError: the bytes are not a PredictResponse, or an output is missing, damaged or of another dtype.
    """
    try:
        response = PredictResponse.FromString(body)
    except DecodeError as error:
        raise ProtocolError(f"not a PredictResponse. Received: {len(body)} bytes, {body[:40]!r} ...") from error
    arrays = {}
    for name, dtype_name in target.outputs.items():
        if name not in response.outputs:
            raise ProtocolError(f"output {name} is missing. Received: {', '.join(sorted(response.outputs)) or 'none'}")
        proto = response.outputs[name]
        dtype, number = _TYPES[dtype_name]
        if proto.dtype != number:
            raise ProtocolError(
                f"output {name} must have type {dtype_name} (dtype {number}). Received: dtype {proto.dtype}"
            )
        try:
            arrays[name] = to_array(proto, dtype, np.dtype(dtype_name))
        except TensorParsingError as error:
            raise ProtocolError(f"output {name} is not a valid tensor: {error}") from error
    return arrays
