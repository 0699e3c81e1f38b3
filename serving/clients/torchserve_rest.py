"""Speak TorchServe's REST inference API, with JSON bodies as defined in ``serving/torchserve/handler.py``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import orjson

from serving.clients import Call, ProtocolError, Target


def call(target: Target, body: bytes = b"") -> Call:  # noqa: ARG001 - as Client
    headers = {"content-type": "application/json", **target.authorization}
    return Call(target.url, f"/predictions/{target.model}", headers)


def encode(target: Target, inputs: Mapping[str, np.ndarray]) -> bytes:  # noqa: ARG001 - as Client
    return orjson.dumps(
        {"inputs": {name: np.ascontiguousarray(array) for name, array in inputs.items()}},
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def decode(target: Target, body: bytes) -> dict[str, np.ndarray]:
    try:
        outputs = orjson.loads(body)["outputs"]
        return {name: np.asarray(outputs[name], dtype) for name, dtype in target.outputs.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"not an answer of TorchServe's handler ({error!r}). Received: {body[:200]!r}") from error
