"""The Open Inference Protocol's server itself: started, asked right and wrong, and stopped."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from pipelines.paths import onnxruntime
from serving.clients import ProtocolError, Target, client
from serving.clients.proto.open_inference_pb2 import ModelInferRequest
from serving.clients.transport import Refused, send
from serving.launch import LaunchError, LaunchRequest, Recipe, Server, free_ports, serve
from serving.open_inference.recipe import FLAVOURS, recipe
from serving.wire.open_inference_binary import CONTENT_TYPE, HEADER

REST, BINARY, GRPC = PROTOCOLS = ("open-inference-rest", "open-inference-rest-binary", "open-inference-grpc")
REFUSED = {REST: "400", BINARY: "400", GRPC: "INVALID_ARGUMENT"}
IMAGE = np.zeros((2, 28, 28), "float32")


def get(target: Target, path: str) -> Any:
    connection = http.client.HTTPConnection(target.url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return json.loads(response.read())
    finally:
        connection.close()


def ask(target: Target, protocol: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    codec = client(protocol)
    body = codec.encode(target, inputs)
    return codec.decode(target, send(codec.call(target, body), body))


def test_what_it_is(started: tuple[Recipe, Server], targets: dict[str, Target]) -> None:
    launched, _ = started
    assert FLAVOURS == ("kserve",)
    assert launched.server == "KServe 0.21.0 Python server, ONNX Runtime 1.32.0"
    assert launched.token() is None
    assert set(targets) == set(PROTOCOLS)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("rows", [1, 2, 5, 16])
def test_answers_equal_those_in_process(
    targets: dict[str, Target], payload: Path, images: np.ndarray, protocol: str, rows: int
) -> None:
    inputs = {"image": images[:rows]}
    outputs = ask(targets[protocol], protocol, inputs)
    assert outputs["logits"].dtype == np.float32
    assert np.array_equal(outputs["logits"], onnxruntime.open(payload, 1).predict(inputs)["logits"])


def test_on_ipv6_every_announced_address_answers(
    payload: Path, images: np.ndarray, ipv6_loopback: str, tmp_path: Path
) -> None:
    ports = free_ports(2, ipv6_loopback)
    launched = recipe(LaunchRequest("mnist_cnn", payload, tmp_path, *ports, host=ipv6_loopback))
    inputs = {"image": images[:2]}
    with serve(launched, tmp_path, timeout_s=90):
        for protocol, url in launched.endpoints.items():
            outputs = ask(Target(url, "mnist_cnn", {"logits": "float32"}), protocol, inputs)
            assert np.array_equal(outputs["logits"], onnxruntime.open(payload, 1).predict(inputs)["logits"]), protocol


def test_typed_contents_over_grpc(targets: dict[str, Target], payload: Path) -> None:
    target, codec = targets["open-inference-grpc"], client("open-inference-grpc")
    request = ModelInferRequest(model_name="mnist_cnn")
    tensor = request.inputs.add(name="image", datatype="FP32", shape=IMAGE.shape)
    tensor.contents.fp32_contents.extend(IMAGE.ravel().tolist())
    outputs = codec.decode(target, send(codec.call(target), request.SerializeToString()))
    assert np.array_equal(outputs["logits"], onnxruntime.open(payload, 1).predict({"image": IMAGE})["logits"])


def test_metadata_is_the_sessions(targets: dict[str, Target]) -> None:
    assert get(targets["open-inference-rest"], "/v2/models/mnist_cnn") == {
        "name": "mnist_cnn",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 28, 28]}],
        "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}],
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            {"image": IMAGE[:, :5]},
            "must be FP32 of shape [-1, 28, 28], -1: 1 or more. Received: FP32 of shape [2, 5, 28]",
        ),
        ({"image": IMAGE[0]}, "Received: FP32 of shape [28, 28]"),
        ({"image": IMAGE[:0]}, "Received: FP32 of shape [0, 28, 28]"),
        ({"image": IMAGE.astype("float64")}, "Received: FP64 of shape [2, 28, 28]"),
        ({"image": IMAGE.astype("int64")}, "Received: INT64 of shape [2, 28, 28]"),
        ({"picture": IMAGE}, "the inputs must be image, each once. Received: picture"),
        ({"image": IMAGE, "more": IMAGE}, "the inputs must be image, each once. Received: image, more"),
        ({}, "the inputs must be image, each once. Received: none"),
    ],
)
def test_a_bad_request_is_refused_with_the_reason(
    targets: dict[str, Target], protocol: str, inputs: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(Refused) as refused:
        ask(targets[protocol], protocol, inputs)
    assert refused.value.status == REFUSED[protocol]
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 28, 28], "data": [1.0]}]},
        {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 28, 28], "data": ["text"] * 784}]},
        {"inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 28, 28], "data": [1.0] * 784}]},
        {
            "inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 28, 28], "data": [1.0] * 784}],
            "outputs": [{"name": "labels"}],
        },
        {"inputs": [{"name": "image"}]},
    ],
)
def test_malformed_json_is_the_clients_mistake(targets: dict[str, Target], body: dict[str, Any]) -> None:
    target = targets["open-inference-rest"]
    with pytest.raises(Refused) as refused:
        send(client("open-inference-rest").call(target), json.dumps(body).encode())
    assert refused.value.status == "400"


def test_raw_contents_of_the_wrong_length_are_the_clients_mistake(targets: dict[str, Target]) -> None:
    target, codec = targets["open-inference-grpc"], client("open-inference-grpc")
    for raw in (b"12", b"1234"):
        request = ModelInferRequest(model_name="mnist_cnn", raw_input_contents=[raw])
        request.inputs.add(name="image", datatype="FP32", shape=(1, 28, 28))
        with pytest.raises(Refused, match="has not the data of float32 of shape") as refused:
            send(codec.call(target), request.SerializeToString())
        assert refused.value.status == "INVALID_ARGUMENT"


def framed(document: object, data: bytes, length: int | str | None = None) -> tuple[dict[str, str], bytes]:
    """A binary request: its headers, and its body; ``length`` in place of the true one of the JSON."""
    text = json.dumps(document).encode()
    said = {HEADER: str(len(text) if length is None else length)}
    return {"content-type": CONTENT_TYPE, **(said if length != "" else {})}, text + data


def described(size: object = 3136, **changes: object) -> dict[str, Any]:
    tensor = {"name": "image", "datatype": "FP32", "shape": [1, 28, 28], "parameters": {"binary_data_size": size}}
    return {"inputs": [{**tensor, **changes}]}


PIXELS = bytes(3136)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (framed(described(), PIXELS, ""), f"as {HEADER} says, are no JSON"),
        (framed(described(), PIXELS, "x"), "must be the length of the JSON. Received: 'x'"),
        (framed(described(), PIXELS, "-1"), "Received: '-1'"),
        (framed(described(), PIXELS, 5), f"the first 5 bytes, as {HEADER} says, are no JSON"),
        (framed(described(), PIXELS, 10**6), "must be from 0 to the body's"),
        (framed([], b""), "a list of objects, 'inputs'"),
        (framed({"inputs": [3]}, b""), "a list of objects, 'inputs'"),
        (framed(described(3140), PIXELS), "must have binary_data_size 3140. Received: 3136 bytes of it"),
        (framed(described(3132), PIXELS), "must make up the whole body"),
        (framed(described(), PIXELS + b"more"), "must make up the whole body"),
        (framed(described(-4), PIXELS), "a whole number from 0 on, in place of data. Received: -4"),
        (framed(described("3136"), PIXELS), "Received: '3136'"),
        (framed(described(data=[1]), PIXELS), "Received: data as well"),
        (framed(described(6272, datatype="FP64"), PIXELS * 2), "Received: FP64 of shape [1, 28, 28]"),
        (framed(described(datatype="INT32"), PIXELS), "Received: INT32 of shape [1, 28, 28]"),
        (framed(described(shape=[2, 28, 28]), PIXELS), "has not the data of float32 of shape [2, 28, 28]"),
        (framed(described(3135), PIXELS[1:]), "has not the data of float32 of shape [1, 28, 28]"),
        (framed(described(shape="28"), PIXELS), "a shape of whole numbers. Received: 'image', 'FP32', '28'"),
        (framed(described(parameters=None), b""), "must have the parameter binary_data_size, or a list of data"),
        (framed({**described(), "parameters": 7}, PIXELS), "'parameters' must be an object"),
        (framed({**described(), "id": 7}, PIXELS), "'id' a text"),
        (framed({**described(), "outputs": [{"name": 7}]}, PIXELS), "a list of objects with a name"),
        (framed({**described(), "outputs": [{"name": "labels"}]}, PIXELS), "the outputs are logits. Received: labels"),
    ],
)
def test_a_binary_body_that_does_not_fit_is_refused(
    targets: dict[str, Target], request_: tuple[dict[str, str], bytes], message: str
) -> None:
    headers, body = request_
    with pytest.raises(Refused) as refused:
        send(replace(client(BINARY).call(targets[BINARY]), headers=headers), body)
    assert refused.value.status == "400"
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "long",
    [
        described("9" * 10**6),
        described(name="n" * 10**6, parameters=None),
        described(shape=[1] * 10**6),
        described(shape=["x"] * 10**6),
        described(datatype="F" * 10**6),
    ],
    ids=["size", "name", "shape", "no shape", "datatype"],
)
def test_what_is_refused_is_not_sent_back_whole(targets: dict[str, Target], long: dict[str, Any]) -> None:
    headers, body = framed(long, PIXELS if long["inputs"][0]["parameters"] else b"")
    call = client(BINARY).call(targets[BINARY])
    request = urllib.request.Request(f"{call.url}{call.path}", body, headers)  # whose answer is not cut
    with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(request, timeout=30):
        pass
    assert refused.value.code == 400
    assert len(refused.value.read()) < 1000


@pytest.mark.parametrize(
    ("asked", "is_binary"),
    [
        ({}, False),
        ({"parameters": {"binary_data_output": True}}, True),
        ({"outputs": [{"name": "logits"}]}, False),
        ({"outputs": [{"name": "logits", "parameters": {"binary_data": True}}]}, True),
        ({"outputs": [{"name": "logits"}], "parameters": {"binary_data_output": True}}, True),
    ],
)
def test_the_request_chooses_the_form_of_the_outputs(
    targets: dict[str, Target], payload: Path, images: np.ndarray, asked: dict[str, Any], is_binary: bool
) -> None:
    headers, body = framed({**described(), **asked}, images[:1].tobytes())
    answer = send(replace(client(BINARY).call(targets[BINARY]), headers=headers), body)
    outputs = client(BINARY if is_binary else REST).decode(targets[BINARY], answer)
    assert np.array_equal(outputs["logits"], onnxruntime.open(payload, 1).predict({"image": images[:1]})["logits"])


def test_a_binary_request_may_hold_data_as_json(targets: dict[str, Target], payload: Path, images: np.ndarray) -> None:
    document = {
        "inputs": [
            {"name": "image", "datatype": "FP32", "shape": [1, 28, 28], "data": images[0].ravel().tolist()},
        ]
    }
    headers, body = framed(document, b"")
    answer = send(replace(client(BINARY).call(targets[BINARY]), headers=headers), body)
    outputs = client(REST).decode(targets[REST], answer)
    assert np.array_equal(outputs["logits"], onnxruntime.open(payload, 1).predict({"image": images[:1]})["logits"])


@pytest.mark.parametrize(("protocol", "status"), [(REST, "404"), (BINARY, "404"), (GRPC, "NOT_FOUND")])
def test_another_model_is_not_found(targets: dict[str, Target], protocol: str, status: str) -> None:
    with pytest.raises(Refused) as refused:
        ask(replace(targets[protocol], model="other"), protocol, {"image": IMAGE})
    assert refused.value.status == status


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_output_that_is_not_there_is_noticed(targets: dict[str, Target], protocol: str) -> None:
    with pytest.raises(ProtocolError, match="labels"):
        ask(replace(targets[protocol], outputs={"labels": "int64"}), protocol, {"image": IMAGE})


def test_it_listens_on_loopback_only(started: tuple[Recipe, Server]) -> None:
    _, server = started
    listening = [c for c in psutil.Process(server.pid).connections("inet") if c.status == psutil.CONN_LISTEN]
    assert {connection.laddr.ip.removeprefix("::ffff:") for connection in listening} == {"127.0.0.1"}
    assert len(listening) == 2


def test_requests_leave_no_line_of_log(started: tuple[Recipe, Server], targets: dict[str, Target]) -> None:
    _, server = started
    before = server.log.read_bytes()
    for protocol in PROTOCOLS:
        ask(targets[protocol], protocol, {"image": IMAGE})
        with pytest.raises(Refused):
            ask(targets[protocol], protocol, {"image": IMAGE[0]})
    assert server.log.read_bytes() == before


def test_sigterm_ends_it_at_once_with_exit_code_0(payload: Path, tmp_path: Path) -> None:
    launched = recipe(LaunchRequest("mnist_cnn", payload, tmp_path, *free_ports(2)))
    with serve(launched, tmp_path, timeout_s=90) as server:
        target = Target(launched.endpoints["open-inference-rest"], "mnist_cnn", {"logits": "float32"})
        idle = http.client.HTTPConnection(target.url.removeprefix("http://"), timeout=10)
        idle.request("GET", "/v2/health/live")  # and the connection stays open
        assert idle.getresponse().read() == b'{"live":true}'
        os.kill(server.pid, signal.SIGTERM)
        assert server.process.wait(5) == 0
        idle.close()


def test_a_port_in_use_is_an_error(payload: Path, started: tuple[Recipe, Server], tmp_path: Path) -> None:
    launched, _ = started
    for protocol in (REST, GRPC):
        taken = int(launched.endpoints[protocol].rpartition(":")[2])
        workdir = tmp_path / protocol
        workdir.mkdir()
        ports = (taken, *free_ports(1)) if protocol == REST else (*free_ports(1), taken)
        with (
            pytest.raises(LaunchError, match="ended while starting"),
            serve(recipe(LaunchRequest("mnist_cnn", payload, workdir, *ports)), workdir, timeout_s=60),
        ):
            pass


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["serve", "--model_name", "m", "--model_path", "absent.onnx"],
            2,
            "Received: absent.onnx. Package the model first: slipway package m onnxruntime",
        ),
        (["serve", "--model_name", "m", "--model_path", "absent.pte"], 2, "first: slipway package m executorch"),
        (
            ["serve", "--model_name", "m", "--model_path", __file__],
            2,
            f"--runtime name its runtime. Received: {__file__}. Package the model first: slipway package m onnxruntime",
        ),
        (["serve", "--model_name", "m", "--model_path", __file__, "--runtime", "onnxruntime"], 2, "cannot be loaded"),
        (
            ["serve", "--model_name", "m", "--model_path", __file__, "--threads", "0"],
            2,
            "--threads must be 1 or more. Received: 0",
        ),
        (["serve", "--model_path", __file__], 2, "--model_name"),
        (["serve", "--model_name", "m"], 2, "--model_path=FILE or --releases=FOLDER"),
        (["ready", "--model_name", "m", "--http_port", "1"], 1, "not there yet"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(arguments: list[str], code: int, message: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "serving.open_inference", *arguments], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == code
    assert message in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_ready_says_whether_it_can_predict(started: tuple[Recipe, Server]) -> None:
    launched, _ = started
    ports = [url.rpartition(":")[2] for url in launched.endpoints.values()]
    for name, code in (("mnist_cnn", 0), ("another", 1)):
        words = ["ready", f"--model_name={name}", f"--http_port={ports[0]}", f"--grpc_port={ports[1]}"]
        result = subprocess.run(
            [sys.executable, "-m", "serving.open_inference", *words], capture_output=True, text=True, timeout=60
        )
        assert result.returncode == code, result.stderr
