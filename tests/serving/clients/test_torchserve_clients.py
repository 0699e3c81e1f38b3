"""TorchServe's clients without a server: the bytes they make, and the bytes they refuse."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

from serving.clients import ProtocolError, Target, client
from serving.clients.proto.torchserve_pb2 import PredictionResponse, PredictionsRequest

INPUTS = {"image": np.arange(6, dtype="float32").reshape(2, 3), "flag": np.array([[1], [0]], "int64")}
OUTPUTS = {"logits": "float32", "label": "int64"}
REST = Target("http://127.0.0.1:1", "digits", OUTPUTS, token="secret")  # noqa: S106 - no secret
GRPC = Target("grpc://127.0.0.1:1", "digits", OUTPUTS, token="secret")  # noqa: S106


@pytest.mark.parametrize("target", [REST, GRPC])
def test_the_token_travels_and_is_not_shown(target: Target) -> None:
    call = client(f"torchserve-{'rest' if target is REST else 'grpc'}").call(target)
    assert call.headers["authorization"] == "Bearer secret"
    assert "secret" not in repr(call) + repr(target)


def test_paths() -> None:
    assert client("torchserve-rest").call(REST).path == "/predictions/digits"
    assert client("torchserve-grpc").call(GRPC).path == (
        "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"
    )


def test_rest_request() -> None:
    body = json.loads(client("torchserve-rest").encode(REST, {**INPUTS, "image": INPUTS["image"].T.copy().T}))
    assert body == {"inputs": {"image": [[0, 1, 2], [3, 4, 5]], "flag": [[1], [0]]}}


def test_binary_rest_request() -> None:
    codec = client("torchserve-rest-binary")
    body = codec.encode(REST, {**INPUTS, "image": np.asfortranarray(INPUTS["image"])})
    call = codec.call(REST, body)
    assert (call.path, call.headers["content-type"]) == ("/predictions/digits", "application/octet-stream")
    assert call.headers["authorization"] == "Bearer secret"
    tensors = safetensors.numpy.load(body)
    assert all(np.array_equal(tensors[name], array) for name, array in INPUTS.items())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"code": 503}',
        b"\xff" * 8 + b"{}",
        safetensors.numpy.save({"logits": np.zeros(2, "float32"), "label": np.zeros(2)})[:-1],
        safetensors.numpy.save({"logits": np.zeros(1, "float32")}),
    ],
)
def test_what_is_no_binary_rest_answer(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="Received"):
        client("torchserve-rest-binary").decode(REST, body)


def test_grpc_request() -> None:
    request = PredictionsRequest.FromString(client("torchserve-grpc").encode(GRPC, INPUTS))
    assert request.model_name == "digits"
    assert list(request.input) == ["data"]
    tensors = safetensors.numpy.load(request.input["data"])
    assert all(np.array_equal(tensors[name], array) for name, array in INPUTS.items())


def test_answers_have_the_declared_types_and_order() -> None:
    rows = {"label": np.array([3, 4], "int64"), "logits": np.array([[0.5], [1.5]], "float32"), "more": np.zeros(1)}
    bodies = {
        "torchserve-rest": json.dumps({"outputs": {name: array.tolist() for name, array in rows.items()}}).encode(),
        "torchserve-rest-binary": safetensors.numpy.save(rows),
        "torchserve-grpc": PredictionResponse(prediction=safetensors.numpy.save(rows)).SerializeToString(),
    }
    for protocol, body in bodies.items():
        outputs = client(protocol).decode(REST, body)
        assert {name: str(array.dtype) for name, array in outputs.items()} == OUTPUTS
        assert list(outputs) == list(OUTPUTS)
        assert all(np.array_equal(outputs[name], rows[name]) for name in OUTPUTS)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"code": 503}', b'{"outputs": {}}', b'{"outputs": {"logits": [[1], [2, 3]], "label": []}}'],
)
def test_what_is_no_rest_answer(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="Received"):
        client("torchserve-rest").decode(REST, body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xff",
        PredictionResponse(prediction=b'{"code": 400, "message": "bad shape"}').SerializeToString(),
        PredictionResponse(prediction=safetensors.numpy.save({"logits": np.zeros(1, "float32")})).SerializeToString(),
    ],
)
def test_what_is_no_grpc_answer(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="Received"):
        client("torchserve-grpc").decode(GRPC, body)


def test_a_refusal_that_came_as_an_ok_message_is_told() -> None:
    body = PredictionResponse(prediction=b'{"code": 400, "message": "bad shape"}').SerializeToString()
    with pytest.raises(ProtocolError, match="bad shape"):
        client("torchserve-grpc").decode(GRPC, body)


def test_clients_import_no_framework() -> None:
    code = (
        "import sys\nfrom serving.clients import PROTOCOLS, client\n"
        "[client(name) for name in PROTOCOLS if not name.startswith('tf')]\n"
        "assert not {'torch', 'tensorflow', 'kserve', 'onnxruntime', 'ts'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
