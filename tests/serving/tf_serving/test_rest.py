"""The REST face over a real socket: the cases of sections A, B, F and G of the API's reference."""

from __future__ import annotations

import base64
import json
import math

import pytest

X2 = '{"instances":[1.0,2.0]}'
ODD = "odd%21%23%24%25%26%27()*+,%2F%3A%3B=%3F%40%5B%5D"


def error_of(body: dict) -> str:
    assert set(body) == {"error"}
    return body["error"]


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/v1/foo", "Malformed request: GET /v1/foo"),
        ("POST", "/v1/foo", "Malformed request: POST /v1/foo"),
        ("GET", "/v1/models", "Missing model name in request."),
        ("POST", "/v1/models", "Malformed request"),
        ("GET", "/v1/models/debug/model_name", "Malformed request"),
        ("GET", "/v1/models/foo:predict", "Malformed request"),
        ("POST", "/v1/models/foo/versions/HELLO:regress", "Malformed request"),
        ("POST", "/v1/models/foo/metadata", "Malformed request"),
        ("PUT", "/v1/models/m", "Malformed request: PUT /v1/models/m"),
        ("DELETE", "/v1/models/m", "Malformed request: DELETE /v1/models/m"),
        ("OPTIONS", "/v1/models/m", "Malformed request"),
        ("POST", "/v1/models/m:predict?x=1", "Malformed request: POST /v1/models/m:predict?x=1"),
        ("POST", "/V1/Models/m:Predict", "Malformed request"),
    ],
)
def test_malformed_urls(server, method, path, message):
    status, body, content_type = server.ask(path, b"{}" if method == "POST" else None, method)
    assert status == 400
    assert message in error_of(json.loads(body))
    assert content_type == "application/json"


def test_version_beyond_64_bits_has_no_body(server):
    assert server.ask("/v1/models/foo/versions/18446744073709551615:predict", X2)[:2] == (400, b"")


@pytest.mark.parametrize("path", ["/statuspage", "/index", "/", "/v2/models/m", "/v1"])
def test_paths_of_no_api(server, path):
    status, body, content_type = server.ask(path)
    assert status == 404
    assert content_type.startswith("text/html")
    assert not body.startswith(b"{")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/m:predict",
        "/V1/MODELS/m:predict",
        "/v1/models/m/versions/123:predict",
        "/v1/models/m/labels/stable:predict",
        f"/v1/models/{ODD}:predict",
        f"/v1/models/{ODD}/labels/{ODD}:predict",
        "/v1/models/v1:predict",
        "/v1/models/two/versions/3:predict",
        "/v1/models/two:predict",
    ],
)
def test_predict_by_version_and_label(server, path):
    status, body, content_type = server.ask(path, X2)
    assert (status, json.loads(body)) == (200, {"predictions": [2.5, 3.0]})
    assert content_type == "application/json"


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
        ('{"instances":[1e300,-1e400,1e-300]}', {"predictions": [math.inf, -math.inf, 2.0]}),
    ],
)
def test_predict_bodies(server, body, answer):
    status, received = server.json("/v1/models/m:predict", body)
    assert (status, received) == ((200, answer) if answer else (400, received))


def test_deep_nesting_in_an_unknown_key(server):
    deep = "[" * 500_000 + "]" * 500_000
    assert server.json("/v1/models/m:predict", f'{{"instances":[1.0],"nested":{deep}}}') == (
        200,
        {"predictions": [2.5]},
    )
    status, body = server.json("/v1/models/m:predict", f'{{"signature_name":{deep}}}')
    assert status == 400
    assert "key must be a string value" in error_of(body)
    status, body = server.json("/v1/models/m:predict", f'{{"instances":{deep}}}')
    assert status == 400


def test_a_body_larger_than_a_mebibyte(server):
    status, body = server.json("/v1/models/m:predict", json.dumps({"instances": [[0.5]] * 300_000}))
    assert status == 200
    assert body["predictions"] == [[2.25]] * 300_000


def test_named_inputs_and_outputs(server):
    rows = [
        {"n": 1, "s": "é", "f": [1.0, math.nan], "d": 1.5},
        {"n": 2, "s": {"b64": "aGk="}, "f": [2.0, math.inf], "d": 2},
    ]
    status, body = server.json("/v1/models/zoo:predict", json.dumps({"signature_name": "named", "instances": rows}))
    assert status == 200
    first, second = body["predictions"]
    assert (first["n"], first["s"], first["f"][0], first["d"]) == (1, "é", 1.0, 1.5)
    assert math.isnan(first["f"][1])
    assert second == {"n": 2, "s": "hi", "f": [2.0, math.inf], "d": 2.0}
    columns = {"n": [1, 2, 3], "s": [["a"]], "f": 0.1, "d": [0.1]}
    status, body = server.json("/v1/models/zoo:predict", json.dumps({"signature_name": "named", "inputs": columns}))
    assert (status, body) == (200, {"outputs": columns})


def test_bytes(server):
    picture = base64.b64encode(bytes(range(256))).decode()
    body = json.dumps({"signature_name": "texts", "instances": [{"b64": picture}, {"b64": ""}]})
    status, answer, _ = server.ask("/v1/models/zoo:predict", body)
    assert status == 200
    rows = json.loads(answer.decode("utf-8", "surrogateescape"))["predictions"]
    assert rows[0]["text_bytes"] == {"b64": picture}
    assert rows[0]["text"].encode("utf-8", "surrogateescape") == bytes(range(256))
    assert rows[1] == {"text": "", "text_bytes": {"b64": ""}}
    assert server.json("/v1/models/zoo:predict", '{"signature_name":"texts","inputs":{"b64":"aGk="}}') == (
        200,
        {"outputs": {"text": "hi", "text_bytes": {"b64": "aGk="}}},
    )


def test_integers_and_booleans(server):
    columns = {"b": [[True], [False]], "i": [-(2**63), 2**63 - 1], "u": 255}
    status, body = server.json("/v1/models/zoo:predict", json.dumps({"signature_name": "others", "inputs": columns}))
    assert (status, body) == (200, {"outputs": columns})
    columns["u"] = 256
    status, body = server.json("/v1/models/zoo:predict", json.dumps({"signature_name": "others", "inputs": columns}))
    assert status == 400
    assert error_of(body) == "JSON Value: 256 Type: Number is not of expected type: uint8"


def test_a_signature_made_for_regress(server):
    import tensorflow as tf

    example = tf.train.Example()
    example.features.feature["x"].float_list.value.append(2.0)
    content = base64.b64encode(example.SerializeToString()).decode()
    body = json.dumps({"signature_name": "regress_x_to_y", "instances": [{"b64": content}]})
    assert server.json("/v1/models/m:predict", body) == (200, {"predictions": [[3.0]]})


@pytest.mark.parametrize(
    ("signature", "body", "status", "message"),
    [
        ("named", {"instances": [[1]]}, 400, "instances is a plain list, but expecting list of objects as multiple"),
        ("named", {"inputs": [1]}, 400, "inputs is a plain value/list, but expecting an object as multiple"),
        ("named", {"inputs": {"n": 1, "s": "", "f": 1}}, 400, "Missing named input: d in 'inputs' object."),
        ("named", {"instances": [{"n": 1, "s": "", "f": 1}]}, 400, "keys must be equal to: d,f,n,s"),
        ("get_counter", {"instances": [1]}, 400, "Failed to get input map for signature: get_counter"),
        ("shapes", {"instances": [1.0]}, 400, "Tensor name: sum has no shape information"),
        ("uneven", {"instances": [1.0, 2.0]}, 400, "Tensor name: b has inconsistent batch size: 1 expecting: 2"),
        ("half", {"instances": [1.0]}, 501, "Conversion of JSON Value: 1.0 to type: half"),
        ("to_complex", {"instances": [1.0]}, 400, "Failed to write JSON value for tensor type: complex64"),
        ("texts", {"instances": [{"b64": "%%%"}]}, 400, "Unable to base64 decode"),
        ("texts", {"inputs": [{"b64": 1}]}, 400, "not formatted correctly for base64 data"),
        ("dense", {"instances": [[1, 2]]}, 400, ""),
        ("dense", {"inputs": 1.0}, 400, ""),
        ("X", {"instances": [1.0]}, 400, 'Serving signature name: "X" not found in signature def'),
        (["hello"], {"instances": [1.0]}, 400, "'signature_name' key must be a string value."),
    ],
)
def test_refused(server, signature, body, status, message):
    received, answer = server.json("/v1/models/zoo:predict", json.dumps({"signature_name": signature, **body}))
    assert received == status
    assert message in error_of(answer)
    assert "Detected at node" not in error_of(answer)  # the front end's noise, with paths of whoever made the model


def test_zero_rows(server):
    body = '{"signature_name":"none_left","instances":[1,2]}'
    assert server.json("/v1/models/zoo:predict", body) == (200, {"predictions": []})


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1/models/foo:predict", 404, "Servable not found for request: Latest(foo)"),
        ("/v1/models/m/versions/50:predict", 404, "Servable not found for request: Specific(m, 50)"),
        ("/v1/models/broken:predict", 404, "Servable not found for request: Latest(broken)"),
        ("/v1/models/m/labels/nonexistent:predict", 400, "Unrecognized servable version label: nonexistent"),
        ("/v1/models/m/labels/gone:predict", 400, "Unrecognized servable version label: gone"),
        ("/v1/models/m:classify", 501, "not implemented"),
        ("/v1/models/m:regress", 501, "not implemented"),
    ],
)
def test_models_and_methods_that_are_not_there(server, path, status, message):
    received, body = server.json(path, X2)
    assert received == status
    assert message in error_of(body)


def test_a_label_is_looked_up_before_the_body_is_read_and_a_model_after(server):
    assert "label" in error_of(server.json("/v1/models/m/labels/none:predict", "not json")[1])
    assert "JSON Parse error: Invalid value" in error_of(server.json("/v1/models/foo:predict", "not json")[1])


@pytest.mark.parametrize("path", ["", "/versions/123", "/labels/stable", "/labels/never_heard_of"])
def test_status(server, path):
    available = {"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert server.json(f"/v1/models/m{path}") == (200, {"model_version_status": [available]})


def test_status_lists_the_newest_version_first(server):
    status, body = server.json("/v1/models/two")
    assert status == 200
    assert [version["version"] for version in body["model_version_status"]] == ["4", "3"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/v1/models/foo", "Could not find any versions of model foo"),
        ("/v1/models/absent", "Could not find any versions of model absent"),
        ("/v1/models/m/versions/5", "Could not find version 5 of model m"),
        ("/v1/models/foo/metadata", "Servable not found for request: Latest(foo)"),
        ("/v1/models/m/versions/5/metadata", "Servable not found for request: Specific(m, 5)"),
    ],
)
def test_status_and_metadata_of_what_is_not_there(server, path, message):
    status, body = server.json(path)
    assert status == 404
    assert message in error_of(body)


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


@pytest.mark.parametrize("path", ["", "/versions/123", "/labels/stable"])
def test_metadata(server, path):
    status, body = server.json(f"/v1/models/m{path}/metadata")
    assert status == 200
    assert body["model_spec"] == {"name": "m", "signature_name": "", "version": "123"}
    signature = body["metadata"]["signature_def"]["signature_def"]["serving_default"]
    x = signature["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT"
    dims = [{"size": "-1", "name": ""}, {"size": "1", "name": ""}]
    assert x["tensor_shape"] == {"dim": dims, "unknown_rank": False}
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert set(signature["outputs"]) == {"y"}


def test_head_is_malformed(server):
    assert server.ask("/v1/models/m", method="HEAD")[0] == 400
