"""The Open Inference Protocol's server itself: started, asked right and wrong, and stopped."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from pipelines.paths import onnxruntime
from serving.clients import ProtocolError, Target, client
from serving.clients.open_inference_grpc import _CLASSES as MESSAGES
from serving.clients.transport import Refused, send
from serving.launch import LaunchError, LaunchRequest, Recipe, Server, free_ports, serve
from serving.open_inference.recipe import FLAVOURS, recipe

PROTOCOLS = ("open-inference-rest", "open-inference-grpc")
REFUSED = {"open-inference-rest": "400", "open-inference-grpc": "INVALID_ARGUMENT"}
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
    return codec.decode(target, send(codec.call(target), codec.encode(target, inputs)))


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
    assert np.array_equal(outputs["logits"], onnxruntime.load(payload, 1)(inputs)["logits"])


def test_typed_contents_over_grpc(targets: dict[str, Target], payload: Path) -> None:
    target, codec = targets["open-inference-grpc"], client("open-inference-grpc")
    request = MESSAGES["ModelInferRequest"](model_name="mnist_cnn")
    tensor = request.inputs.add(name="image", datatype="FP32", shape=IMAGE.shape)
    tensor.contents.fp32_contents.extend(IMAGE.ravel().tolist())
    outputs = codec.decode(target, send(codec.call(target), request.SerializeToString()))
    assert np.array_equal(outputs["logits"], onnxruntime.load(payload, 1)({"image": IMAGE})["logits"])


def test_metadata_is_the_sessions(targets: dict[str, Target]) -> None:
    assert get(targets["open-inference-rest"], "/v2/models/mnist_cnn") == {
        "name": "mnist_cnn",
        "versions": None,
        "platform": "",
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
    assert refused.value.status in ("400", "422")


def test_raw_contents_of_the_wrong_length_are_the_clients_mistake(targets: dict[str, Target]) -> None:
    target, codec = targets["open-inference-grpc"], client("open-inference-grpc")
    for raw in (b"12", b"1234"):
        request = MESSAGES["ModelInferRequest"](model_name="mnist_cnn", raw_input_contents=[raw])
        request.inputs.add(name="image", datatype="FP32", shape=(1, 28, 28))
        with pytest.raises(Refused, match="has not the data of float32 of shape") as refused:
            send(codec.call(target), request.SerializeToString())
        assert refused.value.status == "INVALID_ARGUMENT"


@pytest.mark.parametrize(("protocol", "status"), [(PROTOCOLS[0], "404"), (PROTOCOLS[1], "NOT_FOUND")])
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
    for protocol in PROTOCOLS:
        taken = int(launched.endpoints[protocol].rpartition(":")[2])
        workdir = tmp_path / protocol
        workdir.mkdir()
        ports = (taken, *free_ports(1)) if protocol == PROTOCOLS[0] else (*free_ports(1), taken)
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
        (["serve", "--model_name", "m", "--model_path", __file__], 2, "cannot be loaded"),
        (
            ["serve", "--model_name", "m", "--model_path", __file__, "--threads", "0"],
            2,
            "--threads must be 1 or more. Received: 0",
        ),
        (["serve", "--model_path", __file__], 2, "--model_name"),
        (["serve", "--model_name", "m"], 2, "--model_path=FILE.onnx"),
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
