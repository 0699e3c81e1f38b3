"""The Open Inference Protocol's clients without a server: the bytes they make, and the bytes they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest

from serving.clients import ProtocolError, Target, client, open_inference_grpc
from serving.clients.proto.open_inference_pb2 import ModelInferRequest, ModelInferResponse
from serving.wire.datatypes import DATATYPES, NUMPY

INPUTS = {"image": np.arange(6, dtype="float32").reshape(2, 3), "flag": np.array([[1], [0]], "int64")}
OUTPUTS = {"logits": "float32", "label": "int64"}
REST = Target("http://127.0.0.1:1", "digits", OUTPUTS)
GRPC = Target("grpc://127.0.0.1:1", "digits", OUTPUTS)


def test_the_datatypes_are_those_of_the_installed_kserve() -> None:
    from kserve.utils.numpy_codec import from_np_dtype

    assert {name: from_np_dtype(np.dtype(name)) for name in DATATYPES} == DATATYPES
    assert {datatype: np.dtype(name).name for datatype, name in NUMPY.items()} == NUMPY


def test_paths() -> None:
    assert client("open-inference-rest").call(REST).path == "/v2/models/digits/infer"
    assert client("open-inference-grpc").call(GRPC).path == "/inference.GRPCInferenceService/ModelInfer"
    assert "authorization" not in client("open-inference-grpc").call(GRPC).headers


def test_rest_request() -> None:
    transposed = {**INPUTS, "image": np.asfortranarray(INPUTS["image"])}
    assert json.loads(client("open-inference-rest").encode(REST, transposed)) == {
        "inputs": [
            {"name": "image", "shape": [2, 3], "datatype": "FP32", "data": [0, 1, 2, 3, 4, 5]},
            {"name": "flag", "shape": [2, 1], "datatype": "INT64", "data": [1, 0]},
        ]
    }


def test_binary_rest_request() -> None:
    codec = client("open-inference-rest-binary")
    swapped = {"image": np.asfortranarray(INPUTS["image"]), "flag": INPUTS["flag"].astype(">i8")}
    body = codec.encode(REST, swapped)
    call = codec.call(REST, body)
    length = int(call.headers["Inference-Header-Content-Length"])
    assert (call.path, call.headers["Content-Type"]) == ("/v2/models/digits/infer", "application/octet-stream")
    assert json.loads(body[:length]) == {
        "parameters": {"binary_data_output": True},
        "inputs": [
            {"name": "image", "shape": [2, 3], "datatype": "FP32", "parameters": {"binary_data_size": 24}},
            {"name": "flag", "shape": [2, 1], "datatype": "INT64", "parameters": {"binary_data_size": 16}},
        ],
    }
    assert body[length:] == INPUTS["image"].tobytes() + INPUTS["flag"].tobytes()


def test_the_installed_kserve_reads_the_same_from_a_binary_request() -> None:
    from kserve import InferRequest

    codec = client("open-inference-rest-binary")
    body = codec.encode(REST, INPUTS)
    read = InferRequest.from_bytes(body, int(codec.call(REST, body).headers["Inference-Header-Content-Length"]), "m")
    assert read.use_binary_outputs
    assert {tensor.name: tensor.as_numpy().tolist() for tensor in read.inputs} == {
        name: array.tolist() for name, array in INPUTS.items()
    }


@pytest.mark.parametrize("bodies", [[INPUTS, {name: array + 7 for name, array in INPUTS.items()}]])
def test_bodies_of_one_form_have_one_call(bodies: list[dict[str, np.ndarray]]) -> None:
    codec = client("open-inference-rest-binary")
    assert len({str(codec.call(REST, codec.encode(REST, one)).headers) for one in bodies}) == 1


def binary_answer(sizes: tuple[int, ...] = (8, 16), data: bytes = bytes(24), **changes: object) -> bytes:
    described = zip(("label", "logits"), ("INT64", "FP32"), ([1], [4, 1]), sizes, strict=False)
    outputs = [
        {"name": name, "datatype": kind, "shape": shape, "parameters": {"binary_data_size": size}, **changes}
        for name, kind, shape, size in described
    ]
    return json.dumps({"model_name": "größe {", "outputs": outputs}, ensure_ascii=False).encode() + data


def test_binary_rest_answers_have_the_declared_types_and_order() -> None:
    data = np.array([3], "<i8").tobytes() + np.array([0.5, 1.5, 2.5, 3.5], "<f4").tobytes()
    outputs = client("open-inference-rest-binary").decode(REST, binary_answer(data=data))
    assert list(outputs) == list(OUTPUTS)
    assert {name: str(array.dtype) for name, array in outputs.items()} == OUTPUTS
    assert outputs["logits"].tolist() == [[0.5], [1.5], [2.5], [3.5]]
    assert outputs["label"].tolist() == [3]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xff",
        b"7",
        b"[" * 100_000,
        b'{"error": "no"}',
        b'{"outputs": {}}',
        binary_answer((8,), bytes(8)),  # an output is missing
        binary_answer(data=bytes(23)),
        binary_answer(data=bytes(25)),
        binary_answer((8, 12), bytes(20)),
        binary_answer((-8, 16)),
        binary_answer(datatype="BYTES"),
        binary_answer(shape=[3]),
        json.dumps({"outputs": [{"name": "logits", "datatype": "FP32", "shape": [1], "data": [1.0]}]}).encode(),
    ],
)
def test_what_is_no_binary_rest_answer(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="Received"):
        client("open-inference-rest-binary").decode(REST, body)


def test_grpc_request_is_raw_and_little_endian() -> None:
    swapped = {**INPUTS, "flag": INPUTS["flag"].astype(">i8")}
    request = ModelInferRequest.FromString(client("open-inference-grpc").encode(GRPC, swapped))
    assert request.model_name == "digits"
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in request.inputs] == [
        ("image", "FP32", [2, 3]),
        ("flag", "INT64", [2, 1]),
    ]
    assert list(request.raw_input_contents) == [array.tobytes() for array in INPUTS.values()]


def test_rest_answers_have_the_declared_types_and_order() -> None:
    body = {
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [2], "data": [3, 4]},
            {"name": "logits", "datatype": "FP32", "shape": [2, 1], "data": [0.5, 1.5]},
        ]
    }
    outputs = client("open-inference-rest").decode(REST, json.dumps(body).encode())
    assert list(outputs) == list(OUTPUTS)
    assert {name: str(array.dtype) for name, array in outputs.items()} == OUTPUTS
    assert outputs["logits"].tolist() == [[0.5], [1.5]]
    assert outputs["label"].tolist() == [3, 4]


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("dtype", [name for name in DATATYPES if name != "float16"])
def test_grpc_answers_in_both_forms(dtype: str, raw: bool) -> None:
    values = np.array([[0, 1], [1, 0]], dtype)
    response = ModelInferResponse()
    output = response.outputs.add(name="y", datatype=DATATYPES[dtype], shape=values.shape)
    if raw:
        response.raw_output_contents.append(values.tobytes())
    else:
        getattr(output.contents, open_inference_grpc._CONTENTS[DATATYPES[dtype]]).extend(values.ravel().tolist())
    target = Target("grpc://127.0.0.1:1", "digits", {"y": dtype})
    outputs = client("open-inference-grpc").decode(target, response.SerializeToString())
    assert outputs["y"].dtype == dtype
    assert np.array_equal(outputs["y"], values)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"error": "no"}',
        b'{"outputs": []}',
        b'{"outputs": [{"name": "logits", "shape": [2], "data": [1]}, {"name": "label", "shape": [1], "data": [1]}]}',
    ],
)
def test_what_is_no_rest_answer(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="Received"):
        client("open-inference-rest").decode(REST, body)


def response_with(**tensor: object) -> bytes:
    response = ModelInferResponse(raw_output_contents=[b"1234"])
    response.outputs.add(**tensor)
    return bytes(response.SerializeToString())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xff",
        response_with(name="logits", datatype="FP32", shape=[2]),
        response_with(name="logits", datatype="BYTES", shape=[1]),
        response_with(name="other", datatype="FP32", shape=[1]),
    ],
)
def test_what_is_no_grpc_answer(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="Received"):
        client("open-inference-grpc").decode(GRPC, body)
