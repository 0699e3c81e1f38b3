"""Speak the Open Inference Protocol, version 2, over gRPC; tensors are sent as raw bytes, little-endian.

Messages: ``proto/open_inference.proto``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from google.protobuf.message import DecodeError

from serving.clients import Call, ProtocolError, Target
from serving.clients.proto.open_inference_pb2 import ModelInferRequest, ModelInferResponse
from serving.wire.datatypes import DATATYPES, NUMPY

METHOD = "/inference.GRPCInferenceService/ModelInfer"
# The field with the typed contents of each datatype. FP16 has no such field: it is always raw.
_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


def call(target: Target, body: bytes = b"") -> Call:  # noqa: ARG001 - as Client
    return Call(target.url, METHOD, target.authorization)


def encode(target: Target, inputs: Mapping[str, np.ndarray]) -> bytes:
    request = ModelInferRequest(model_name=target.model)
    for name, array in inputs.items():
        request.inputs.add(name=name, datatype=DATATYPES[array.dtype.name], shape=array.shape)
        request.raw_input_contents.append(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return request.SerializeToString()


def decode(target: Target, body: bytes) -> dict[str, np.ndarray]:
    try:
        response = ModelInferResponse.FromString(body)
        raw = response.raw_output_contents
        arrays = {
            output.name: _array(output, raw[index] if raw else None) for index, output in enumerate(response.outputs)
        }
        return {name: arrays[name].astype(dtype, copy=False) for name, dtype in target.outputs.items()}
    except (DecodeError, KeyError, IndexError, ValueError) as error:
        raise ProtocolError(
            f"not an inference response of the Open Inference Protocol ({error!r}). Received: {body[:200]!r}"
        ) from error


def _array(output: ModelInferResponse.InferOutputTensor, raw: bytes | None) -> np.ndarray:
    dtype = np.dtype(NUMPY[output.datatype])
    if raw is not None:
        return np.frombuffer(raw, dtype.newbyteorder("<")).reshape(output.shape)
    return np.array(getattr(output.contents, _CONTENTS[output.datatype]), dtype).reshape(output.shape)
