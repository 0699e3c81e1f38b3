"""The two TF Serving clients, compared by their bytes; the server's tests do the round trip over sockets."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from serving.clients import ProtocolError, Target
from serving.clients import tf_serving_grpc as over_grpc
from serving.clients import tf_serving_rest as over_rest

ONE = Target("http://127.0.0.1:1", "a model", {"y": "float32"}, token="secret")  # noqa: S106 - an example
TWO = Target("http://127.0.0.1:1", "m", {"y": "float32", "label": "int64"})


def test_calls():
    assert over_rest.call(ONE).path == "/v1/models/a%20model:predict"
    assert over_rest.call(ONE).headers["authorization"] == "Bearer secret"
    assert "authorization" not in over_rest.call(TWO).headers
    assert over_grpc.call(ONE).path == "/tensorflow.serving.PredictionService/Predict"
    assert over_grpc.call(ONE).headers == {"authorization": "Bearer secret"}
    assert over_grpc.call(TWO).headers == {}


def test_rest_request():
    inputs = {"x": np.float32([[0.1, 2], [3, 4]]).T, "n": np.array(5), "s": np.array([b"\xff"], object)}
    texts = {"x": np.array(["ä", "b c"])}
    objects = {"x": np.array(["ä".encode(), b"b c"], object)}
    assert over_rest.encode(TWO, texts) == over_rest.encode(TWO, objects)
    assert over_grpc.encode(TWO, texts) == over_grpc.encode(TWO, objects)
    assert json.loads(over_rest.encode(TWO, inputs)) == {
        "inputs": {"x": [[0.1, 3.0], [2.0, 4.0]], "n": 5, "s": [{"b64": "/w=="}]}
    }
    assert b"NaN" in over_rest.encode(TWO, {"x": np.float32([math.nan])})


def test_rest_response():
    for body in (b'{"outputs": [[1, 2.5]]}', b'{"outputs": {"y": [[1, 2.5]]}}'):
        y = over_rest.decode(ONE, body)["y"]
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, np.float32([[1, 2.5]]))
    outputs = over_rest.decode(TWO, b'{"outputs": {"y": [NaN, Infinity], "label": [1, 2]}}')
    np.testing.assert_array_equal(outputs["y"], np.float32([np.nan, np.inf]))
    assert outputs["label"].dtype == np.int64
    strings = Target("", "m", {"s": "object"})
    assert over_rest.decode(strings, b'{"outputs": [{"b64": "/w=="}, "a"]}')["s"].tolist() == [b"\xff", b"a"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"[" * 5000, "not JSON"),
        (b"[1]", "the answer must be a JSON object"),
        (b'{"error": "no such model"}', "the server says: no such model"),
        (b'{"predictions": [1]}', "'outputs' is missing"),
        (b'{"outputs": [[1, 2], [3]]}', "output y is not an array"),
        (b'{"outputs": ["a"]}', "output y is not an array"),
        (b'{"outputs": {"z": 1}}', "outputs are missing: y"),
        (b'{"outputs": [true]}', "output y is not an array"),
    ],
)
def test_rest_answers_that_are_none(body, message):
    with pytest.raises(ProtocolError, match=message):
        over_rest.decode(ONE, body)


def test_rest_integers_are_not_made_from_decimals():
    with pytest.raises(ProtocolError, match="output label is not an array of int64"):
        over_rest.decode(TWO, b'{"outputs": {"y": [1], "label": [1.5]}}')


def response(**outputs):
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    message = predict_pb2.PredictResponse()
    for name, value in outputs.items():
        message.outputs[name].CopyFrom(tf.make_tensor_proto(value))
    return message


def test_grpc_request_is_read_by_the_official_stubs():
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    inputs = {"x": np.float32([[1, 2], [3, 4]]).T, "s": np.array([b"\xff"], object), "h": np.float16([1.5])}
    request = predict_pb2.PredictRequest.FromString(over_grpc.encode(ONE, inputs))
    assert request.model_spec.name == "a model"
    assert request.inputs["x"].tensor_content
    for name, array in inputs.items():
        np.testing.assert_array_equal(tf.make_ndarray(request.inputs[name]), array)
    with pytest.raises(ValueError, match="Received: datetime64"):
        over_grpc.encode(ONE, {"x": np.array(["2020-01-01"], "M8[D]")})


def test_grpc_response_with_content_and_with_values():
    message = response(y=np.float32([[1.5, 2]]), label=np.int64([7]))
    assert message.outputs["y"].tensor_content
    for _ in range(2):
        outputs = over_grpc.decode(TWO, message.SerializeToString())
        np.testing.assert_array_equal(outputs["y"], np.float32([[1.5, 2]]))
        assert outputs["label"].tolist() == [7]
        message.outputs["y"].tensor_content = b""
        message.outputs["y"].float_val.extend([1.5, 2])


def test_grpc_answers_that_are_none():
    whole = response(y=np.float32([1, 2]), label=np.int64([7]))
    with pytest.raises(ProtocolError, match="not a PredictResponse"):
        over_grpc.decode(TWO, b"\xff\xff")
    with pytest.raises(ProtocolError, match=r"output y is missing\. Received: none"):
        over_grpc.decode(TWO, b"")
    with pytest.raises(ProtocolError, match="must have type float32"):
        over_grpc.decode(TWO, response(y=np.float64([1]), label=np.int64([7])).SerializeToString())
    whole.outputs["y"].tensor_content = b"123"
    with pytest.raises(ProtocolError, match="output y is not a valid tensor"):
        over_grpc.decode(TWO, whole.SerializeToString())
