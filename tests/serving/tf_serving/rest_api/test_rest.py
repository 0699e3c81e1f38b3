"""The REST face over a real socket, beyond the cases of the API's reference."""

from __future__ import annotations

import base64
import json
import math
import re
import socket

import pytest

from serving.launch import LOOPBACK


def error_of(body: dict) -> str:
    assert set(body) == {"error"}
    return body["error"]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ('{"instances":[[1.0,2.0],[3.0,4.0]]}', {"predictions": [[2.5, 3.0], [3.5, 4.0]]}),
        ('{"instances":[2.0,3.0,4.0]}', {"predictions": [3.0, 3.5, 4.0]}),
        ('{"instances":[1,{}]}', None),
        ('{"instances":[{"x":[1]},{"x":[2]}]}', {"predictions": [[2.5], [3.0]]}),
        ('{"signature_name":"serving_default","inputs":[3.0,4.0]}', {"outputs": [3.5, 4.0]}),
        ('{"signature_name":"","inputs":{"x":3,"extra":[[]]}}', {"outputs": 3.5}),
        ('{"instances":[1.0,2.0]} trailing bytes', {"predictions": [2.5, 3.0]}),
        ('\ufeff {"instances":[1.0,2.0]}', {"predictions": [2.5, 3.0]}),
        ('{"instances":[3e38,1e-300]}', {"predictions": [1.5e38, 2.0]}),
        ('{"instances":[1e300,-1e39,1e-300]}', {"predictions": [math.inf, -math.inf, 2.0]}),
        ('{"instances":[1e400]}', None),
    ],
)
def test_predict_bodies(server, body, answer):
    status, received = server.json("/v1/models/half_plus_two:predict", body)
    assert (status, received) == ((200, answer) if answer else (400, received))


def test_a_client_that_asks_before_it_sends(server):
    body = b'{"instances":[1.0]}'
    head = "POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n"
    with socket.create_connection((LOOPBACK, server.rest), timeout=30) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        with connection.makefile("rb") as answer:
            text = answer.read()
    assert text.startswith(b"HTTP/1.1 200 OK\r\n")
    assert text.endswith(b'{"predictions":[2.5]}')


def test_a_body_larger_than_a_mebibyte(server):
    status, body = server.json("/v1/models/half_plus_two:predict", json.dumps({"instances": [[0.5]] * 300_000}))
    assert status == 200
    assert body["predictions"] == [[2.25]] * 300_000


def test_bytes(server):
    picture = base64.b64encode(bytes(range(256))).decode()
    body = json.dumps({"signature_name": "texts", "instances": [{"b64": picture}, {"b64": ""}]})
    status, answer, _ = server.ask("/v1/models/echo:predict", body)
    assert status == 200
    rows = json.loads(answer.decode("utf-8", "surrogateescape"))["predictions"]
    assert rows[0]["text_bytes"] == {"b64": picture}
    assert rows[0]["text"].encode("utf-8", "surrogateescape") == bytes(range(256))
    assert rows[1] == {"text": "", "text_bytes": {"b64": ""}}
    assert server.json("/v1/models/echo:predict", '{"signature_name":"texts","inputs":{"b64":"aGk="}}') == (
        200,
        {"outputs": {"text": "hi", "text_bytes": {"b64": "aGk="}}},
    )


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("aGVsbG8=", "hello"),
        ("aGVsbG8", "hello"),
        (" aGV sbG8=\\n", "hello"),
        ("aGVsbG8.", "hello"),
        ("aGVsbG9", "hello"),
        ("", ""),
        ("aGVsbG8==", None),
        ("aGVsbA=", None),
        ("=", None),
        ("a", None),
        ("aG=VsbG8", None),
        ("é", None),
    ],
)
def test_base64(server, text, decoded):
    """White space and padding as absl::Base64Unescape has it."""
    body = f'{{"signature_name":"string","inputs":{{"b64":"{text}"}}}}'
    status, answer = server.json("/v1/models/echo:predict", body)
    assert (status, answer) == ((200, {"outputs": decoded}) if decoded is not None else (400, answer))
    assert decoded is not None or answer == {"error": "Unable to base64 decode"}


@pytest.mark.parametrize(
    ("dtype", "values"),
    [("bool", [[True], [False]]), ("int64", [-(2**63), 2**63 - 1]), ("uint8", 255)],
)
def test_integers_and_booleans(server, dtype, values):
    body = json.dumps({"signature_name": dtype, "inputs": values})
    assert server.json("/v1/models/echo:predict", body) == (200, {"outputs": values})


def test_an_integer_that_does_not_fit(server):
    status, body = server.json("/v1/models/echo:predict", '{"signature_name":"uint8","inputs":256}')
    assert status == 400
    assert error_of(body) == "JSON Value: 256 Type: Number is not of expected type: uint8"


def test_a_signature_made_for_regress(server):
    import tensorflow as tf

    example = tf.train.Example()
    example.features.feature["x"].float_list.value.append(2.0)
    content = base64.b64encode(example.SerializeToString()).decode()
    body = json.dumps({"signature_name": "regress_x_to_y", "instances": [{"b64": content}]})
    assert server.json("/v1/models/half_plus_two:predict", body) == (200, {"predictions": [[3.0]]})


@pytest.mark.parametrize(
    ("model", "signature", "body", "message"),
    [
        ("echo", "four", {"inputs": {"int_tensor": 1}}, "Missing named input: double_tensor in 'inputs' object."),
        ("counter", "get_counter", {"instances": [1]}, "Failed to get input map for signature: get_counter"),
        ("echo", "half of a pair: \ud800", {"instances": [1]}, 'Serving signature name: "half of a pair: ?"'),
        ("echo", "dense", {"instances": [[1, 2]]}, ""),
        ("echo", "dense", {"inputs": 1.0}, ""),
    ],
)
def test_refused(server, model, signature, body, message):
    received, answer = server.json(f"/v1/models/{model}:predict", json.dumps({"signature_name": signature, **body}))
    assert received == 400
    assert message in error_of(answer)
    assert "Detected at node" not in error_of(answer)  # the front end's noise, with paths of whoever made the model


@pytest.mark.parametrize("method", ["regress", "classify"])
@pytest.mark.parametrize("model", ["half_plus_two", "half_plus_two_tf1"])
def test_a_kernel_refuses(server, model, method):
    """The whole answer: the kernel's message, and no file or line of this server."""
    body = json.dumps({"signature_name": f"{method}_x_to_y", "examples": [{"x": 80}]})
    kernel = "Name: <unknown>, Key: x, Index: 0.  Data types don't match. Data type: int64 but expected type: float"
    message = f"{kernel}\n\t [[{{{{node ParseExample/ParseExampleV2}}}}]]"
    status, answer = server.json(f"/v1/models/{model}:{method}", body)
    answer["error"] = re.sub(r"\{\{function_node __inference_\w+\}\}", "", answer["error"])  # of TensorFlow 2
    assert (status, answer) == (400, {"error": message})


def test_a_label_is_looked_up_before_the_body_is_read_and_a_model_after(server):
    assert "label" in error_of(server.json("/v1/models/half_plus_two/labels/none:predict", "not json")[1])
    assert "JSON Parse error: Invalid value" in error_of(server.json("/v1/models/foo:predict", "not json")[1])


def test_a_model_that_cannot_be_loaded_is_in_its_status_and_in_the_log(server):
    status, body = server.json("/v1/models/broken")
    assert status == 200
    (version,) = body["model_version_status"]
    assert version["state"] == "END"
    assert version["status"]["error_code"] == "DATA_LOSS"
    assert "cannot read the SavedModel" in version["status"]["error_message"]
    log = server.process.log.read_text()
    assert "Loading servable: {name: broken version: 1} failed: DATA_LOSS" in log
    assert log.count("Could not find base path") == 1  # of the model that is absent, once and not at each look
