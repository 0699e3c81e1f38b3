"""Asks a server of the echo model everything that tritonclient can ask it, over REST and gRPC.

    python asked_by_tritonclient.py http://HOST:PORT grpc://HOST:PORT

A process of its own: the messages of tritonclient and of KServe have the same names, which one process cannot hold.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

DATATYPES = ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64")


def values(datatype: str) -> np.ndarray:
    dtype = tritonclient.utils.triton_to_np_dtype(datatype)
    ends = {"b": (0, 1), "f": (-1.5, 2.5)}.get(np.dtype(dtype).kind)
    low, high = ends or (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return np.array([[low, high], [1, 0], [0, 1]], dtype)


def ask_infer(library: Any, client: Any, as_json: bool, **options: Any) -> None:
    def binary(datatype: str) -> dict[str, bool]:
        if library is tritonclient.grpc:
            return {}
        return {"binary_data": not as_json or datatype == "FP16"}  # which has no form in JSON

    inputs = [library.InferInput(f"in_{datatype}", [3, 2], datatype) for datatype in DATATYPES]
    for tensor, datatype in zip(inputs, DATATYPES, strict=True):
        tensor.set_data_from_numpy(values(datatype), **binary(datatype))
    outputs = [library.InferRequestedOutput(f"out_{datatype}", **binary(datatype)) for datatype in DATATYPES]
    result = client.infer("echo", inputs, outputs=outputs, request_id="7", **options)
    for datatype in DATATYPES:
        array, wanted = result.as_numpy(f"out_{datatype}"), values(datatype)
        assert array.dtype == wanted.dtype, datatype
        assert np.array_equal(array, wanted), (datatype, array)


def ask_only_json(library: Any, client: Any) -> None:
    """No binary tensor at all, so that the request has neither the binary header nor a content type."""
    asked = [datatype for datatype in DATATYPES if datatype != "FP16"]
    inputs = [library.InferInput(f"in_{datatype}", [3, 2], datatype) for datatype in DATATYPES]
    for tensor, datatype in zip(inputs, DATATYPES, strict=True):
        tensor.set_data_from_numpy(values(datatype), binary_data=False)
    outputs = [library.InferRequestedOutput(f"out_{datatype}", binary_data=False) for datatype in asked]
    result = client.infer("echo", inputs, outputs=outputs)
    for datatype in asked:
        assert np.array_equal(result.as_numpy(f"out_{datatype}"), values(datatype)), datatype


def refused(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(InferenceServerException) as error:
        call(*arguments, **options)
    return f"{error.value.status()} {error.value.message()}"


def ask_the_rest(client: Any, as_dict: dict[str, bool]) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("echo")
    assert client.is_model_ready("echo", "1")
    assert "binary_tensor_data" in client.get_server_metadata(**as_dict)["extensions"]
    metadata = client.get_model_metadata("echo", "1", **as_dict)
    assert (metadata["name"], metadata["versions"], metadata["platform"]) == ("echo", ["1"], "onnxruntime_onnx")
    assert [tensor["datatype"] for tensor in metadata["inputs"]] == list(DATATYPES)
    assert "has version 1 only. Received: 2" in refused(client.get_model_metadata, "echo", "2")
    assert "does not exist" in refused(client.get_model_metadata, "other")
    for closed in (client.load_model, client.unload_model):
        message = refused(closed, "echo")
        assert "404" in message or "UNIMPLEMENTED" in message, message
    message = refused(client.get_model_repository_index)
    assert "404" in message or "UNIMPLEMENTED" in message, message


def main(rest: str, grpc: str) -> None:
    with tritonclient.http.InferenceServerClient(rest.removeprefix("http://")) as client:
        for as_json in (True, False):
            ask_infer(tritonclient.http, client, as_json)
            ask_infer(tritonclient.http, client, as_json, model_version="1")
            for coding in ("gzip", "deflate"):
                ask_infer(tritonclient.http, client, as_json, request_compression_algorithm=coding)
        ask_only_json(tritonclient.http, client)
        ask_the_rest(client, {})
        assert not client.is_model_ready("echo", "2")
    with tritonclient.grpc.InferenceServerClient(grpc.removeprefix("grpc://")) as client:
        ask_infer(tritonclient.grpc, client, False)
        ask_infer(tritonclient.grpc, client, False, model_version="1", compression_algorithm="gzip")
        ask_the_rest(client, {"as_json": True})
        message = refused(ask_infer, tritonclient.grpc, client, False, model_version="2")
        assert "NOT_FOUND" in message, message


if __name__ == "__main__":
    main(*sys.argv[1:])
