"""Speak the Open Inference Protocol, version 2, over REST, with tensors as raw bytes after the JSON, both ways."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from serving.clients import Call, ProtocolError, Target
from serving.wire.datatypes import NUMPY
from serving.wire.open_inference_binary import CONTENT_TYPE, HEADER, join, json_length, split

ALL_OUTPUTS = {"parameters": {"binary_data_output": True}}


def call(target: Target, body: bytes = b"") -> Call:
    """Make a call with the length of its JSON in a header. Raises ValueError if the body does not start with JSON."""
    length = {HEADER: str(json_length(body))} if body else {}
    headers = {"Content-Type": CONTENT_TYPE, **length, **target.authorization}
    return Call(target.url, f"/v2/models/{target.model}/infer", headers)


def encode(target: Target, inputs: Mapping[str, np.ndarray]) -> bytes:  # noqa: ARG001 - as Client
    return join(ALL_OUTPUTS, inputs)


def decode(target: Target, body: bytes) -> dict[str, np.ndarray]:
    """Decode as every client does, and refuse outputs sent as JSON, because the request asks for raw bytes."""
    try:
        document, parts = split(body, json_length(body), "outputs")
        arrays = {}
        for output, part in zip(document["outputs"], parts, strict=True):
            if part is None:
                raise ValueError(f"output {output['name']!r} came as JSON")
            dtype = np.dtype(NUMPY[output["datatype"]]).newbyteorder("<")
            arrays[output["name"]] = np.frombuffer(part, dtype).reshape(output["shape"])
        return {name: arrays[name].astype(dtype, copy=False) for name, dtype in target.outputs.items()}
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ProtocolError(
            f"not a binary inference response of the Open Inference Protocol ({error!r}). Received: {body[:200]!r}"
        ) from error
