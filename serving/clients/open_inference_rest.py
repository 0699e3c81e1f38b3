"""Speak the Open Inference Protocol, version 2, over REST: JSON with flat lists of data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import orjson

from serving.clients import Call, ProtocolError, Target
from serving.wire.datatypes import DATATYPES


def call(target: Target, body: bytes = b"") -> Call:  # noqa: ARG001 - as Client
    headers = {"content-type": "application/json", **target.authorization}
    return Call(target.url, f"/v2/models/{target.model}/infer", headers)


def encode(target: Target, inputs: Mapping[str, np.ndarray]) -> bytes:  # noqa: ARG001 - as Client
    tensors = [
        {"name": name, "shape": array.shape, "datatype": DATATYPES[array.dtype.name], "data": array.ravel()}
        for name, array in inputs.items()
    ]
    return orjson.dumps({"inputs": tensors}, option=orjson.OPT_SERIALIZE_NUMPY)


def decode(target: Target, body: bytes) -> dict[str, np.ndarray]:
    try:
        outputs = {output["name"]: output for output in orjson.loads(body)["outputs"]}
        return {
            name: np.asarray(outputs[name]["data"], dtype).reshape(outputs[name]["shape"])
            for name, dtype in target.outputs.items()
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(
            f"not an inference response of the Open Inference Protocol ({error!r}). Received: {body[:200]!r}"
        ) from error
