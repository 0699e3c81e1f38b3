"""Speak TorchServe's gRPC inference API; tensors are sent as safetensors, under the key ``data``.

Messages: ``proto/torchserve.proto``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import safetensors
import safetensors.numpy
from google.protobuf.message import DecodeError

from serving.clients import Call, ProtocolError, Target
from serving.clients.proto.torchserve_pb2 import PredictionResponse, PredictionsRequest

METHOD = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"


def call(target: Target, body: bytes = b"") -> Call:  # noqa: ARG001 - as Client
    return Call(target.url, METHOD, target.authorization)


def encode(target: Target, inputs: Mapping[str, np.ndarray]) -> bytes:
    tensors = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in inputs.items()})
    request = PredictionsRequest(model_name=target.model, input={"data": tensors})
    return request.SerializeToString()


def decode(target: Target, body: bytes) -> dict[str, np.ndarray]:
    """Decode as every client does; also raises ProtocolError for an error message sent with status OK."""
    prediction = b""
    try:
        prediction = PredictionResponse.FromString(body).prediction
        outputs = safetensors.numpy.load(prediction)
        return {name: outputs[name].astype(dtype, copy=False) for name, dtype in target.outputs.items()}
    except (DecodeError, safetensors.SafetensorError, KeyError) as error:
        raise ProtocolError(
            f"not an answer of TorchServe's handler ({error!r}). Received: {(prediction or body)[:200]!r}"
        ) from error
