"""The gRPC API over a real socket, with the stubs of tensorflow-serving-api, beyond the reference's cases."""

from __future__ import annotations

import re

import grpc
import numpy as np
import pytest


@pytest.fixture(scope="module")
def stubs(server):
    from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

    with server.channel() as channel:
        yield (
            prediction_service_pb2_grpc.PredictionServiceStub(channel),
            model_service_pb2_grpc.ModelServiceStub(channel),
        )


def request_for(model: str, signature: str = "", **inputs):
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(value if hasattr(value, "tensor_shape") else tf.make_tensor_proto(value))
    return request


def refusal(call, request) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=30)
    return caught.value.code().name, caught.value.details()


def test_a_kernel_refuses(stubs):
    """The error has the kernel's message and its node, and no text of TensorFlow's Python API.

    TensorFlow puts the function into the graph where it uses oneDNN, by default on processors with AVX-512 VNNI.
    """
    code, message = refusal(stubs[0].Predict, request_for("echo", "dense", x=[[1.0, 2.0]]))
    assert code == "INVALID_ARGUMENT"
    kernel = r"Matrix size-incompatible: In\[0\]: \[1,2\], In\[1\]: \[3,2\]"
    inlined = r"\{\{node StatefulPartitionedCall/StatefulPartitionedCall/matmul\}\}"
    node = rf"({inlined}|\{{\{{function_node __inference_dense_\d+\}}\}}\{{\{{node matmul\}}\}})"
    assert re.fullmatch(rf"{kernel}\n\t \[\[{node}\]\]", message), message


@pytest.mark.parametrize("form", ["content", "values", "one value for all"])
def test_forms_of_a_tensor(stubs, form):
    import tensorflow as tf

    array = np.full((5, 1), 2.0, np.float32) if form == "one value for all" else np.arange(5, dtype="f4")[:, None]
    proto = tf.make_tensor_proto(array)
    if form == "values":
        proto.tensor_content = b""
        proto.float_val.extend(array.ravel())
    elif form == "one value for all":
        proto.tensor_content = b""
        proto.float_val.append(2.0)
    response = stubs[0].Predict(request_for("half_plus_two", x=proto), timeout=30)
    np.testing.assert_array_equal(tf.make_ndarray(response.outputs["y"]), array * 0.5 + 2)


def test_version_and_label(stubs):
    request = request_for("half_plus_two_2_versions", x=[[2.0]])
    assert stubs[0].Predict(request, timeout=30).model_spec.version.value == 124
    request.model_spec.version.value = 123
    assert stubs[0].Predict(request, timeout=30).model_spec.version.value == 123
    request.model_spec.version.value = 5
    message = "Servable not found for request: Specific(half_plus_two_2_versions, 5)"
    assert refusal(stubs[0].Predict, request) == ("NOT_FOUND", message)
    request = request_for("half_plus_two", x=[[2.0]])
    request.model_spec.version_label = "MODEL_LABEL"
    assert stubs[0].Predict(request, timeout=30).model_spec.version.value == 123
    request.model_spec.version_label = "none"
    assert refusal(stubs[0].Predict, request) == ("INVALID_ARGUMENT", "Unrecognized servable version label: none")


def test_every_kind_of_value(stubs):
    import tensorflow as tf

    inputs = {
        "int_tensor": np.int32([1, -2]),
        "str_tensor": np.array([b"a", b"\xff\0"], object),
        "float_tensor": np.float32(0.1),
        "double_tensor": np.array([0.1, 0.2]),
    }
    response = stubs[0].Predict(request_for("echo", "four", **inputs), timeout=30)
    for name, array in inputs.items():
        np.testing.assert_array_equal(tf.make_ndarray(response.outputs[name]), array)
    response = stubs[0].Predict(request_for("echo", "half", default=np.float16([1.5, 65504])), timeout=30)
    np.testing.assert_array_equal(tf.make_ndarray(response.outputs["y"]), np.float16([1.5, 65504]))
    response = stubs[0].Predict(request_for("echo", "to_complex", x=np.float32([1.5])), timeout=30)
    assert tf.make_ndarray(response.outputs["y"]) == [1.5 + 1.5j]


def test_bytes_that_are_no_request(server):
    with server.channel() as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        assert refusal(call, b"\xff\xff\xff")[0] == "INVALID_ARGUMENT"
