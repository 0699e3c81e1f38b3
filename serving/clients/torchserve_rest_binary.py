"""Speak TorchServe's REST inference API, with safetensors bodies as defined in ``serving/torchserve/handler.py``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import safetensors
import safetensors.numpy

from serving.clients import Call, ProtocolError, Target


def call(target: Target, body: bytes = b"") -> Call:  # noqa: ARG001 - as Client
    headers = {"content-type": "application/octet-stream", **target.authorization}
    return Call(target.url, f"/predictions/{target.model}", headers)


def encode(target: Target, inputs: Mapping[str, np.ndarray]) -> bytes:  # noqa: ARG001
    return safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in inputs.items()})


def decode(target: Target, body: bytes) -> dict[str, np.ndarray]:
    try:
        outputs = safetensors.numpy.load(body)
        return {name: outputs[name].astype(dtype, copy=False) for name, dtype in target.outputs.items()}
    except (safetensors.SafetensorError, KeyError) as error:
        raise ProtocolError(f"not an answer of TorchServe's handler ({error!r}). Received: {body[:200]!r}") from error
