"""The gRPC face over a real socket, with the stubs of tensorflow-serving-api: sections B, F and G."""

from __future__ import annotations

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


def test_predict(stubs):
    request = request_for("m", x=np.float32(2.0))
    response = stubs[0].Predict(request, timeout=30)
    assert list(response.outputs["y"].float_val) == [3.0]
    assert response.model_spec.name == "m"
    assert response.model_spec.version.value == 123
    assert response.model_spec.signature_name == "serving_default"


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
    response = stubs[0].Predict(request_for("m", x=proto), timeout=30)
    np.testing.assert_array_equal(tf.make_ndarray(response.outputs["y"]), array * 0.5 + 2)


def test_version_and_label(stubs):
    request = request_for("two", x=[[2.0]])
    assert stubs[0].Predict(request, timeout=30).model_spec.version.value == 4
    request.model_spec.version.value = 3
    assert stubs[0].Predict(request, timeout=30).model_spec.version.value == 3
    request.model_spec.version.value = 5
    assert refusal(stubs[0].Predict, request) == ("NOT_FOUND", "Servable not found for request: Specific(two, 5)")
    request = request_for("m", x=[[2.0]])
    request.model_spec.version_label = "stable"
    assert stubs[0].Predict(request, timeout=30).model_spec.version.value == 123
    request.model_spec.version_label = "none"
    assert refusal(stubs[0].Predict, request) == ("INVALID_ARGUMENT", "Unrecognized servable version label: none")


def test_a_signature_without_inputs_keeps_its_state(stubs):
    def counter(signature, **inputs):
        return stubs[0].Predict(request_for("zoo", signature, **inputs), timeout=30).outputs["output"].float_val[0]

    assert counter("get_counter") == 0.0
    assert counter("incr_counter_by", delta=np.float32(3)) == 3.0
    assert counter("incr_counter_by", delta=np.float32(1)) == 4.0
    assert counter("get_counter") == 4.0


def test_every_kind_of_value(stubs):
    import tensorflow as tf

    inputs = {"n": np.int32([1, -2]), "s": np.array([b"a", b"\xff\0"], object), "f": np.float32(0.1), "d": [0.1, 0.2]}
    inputs["d"] = np.array(inputs["d"])
    response = stubs[0].Predict(request_for("zoo", "named", **inputs), timeout=30)
    for name, array in inputs.items():
        np.testing.assert_array_equal(tf.make_ndarray(response.outputs[name]), array)
    response = stubs[0].Predict(request_for("zoo", "half", x=np.float16([1.5, 65504])), timeout=30)
    assert list(response.outputs["y"].float_val) == [1.5, 65504]
    response = stubs[0].Predict(request_for("zoo", "to_complex", x=np.float32([1.5])), timeout=30)
    assert tf.make_ndarray(response.outputs["y"]) == [1.5 + 1.5j]


def test_output_filter(stubs):
    request = request_for("zoo", "shapes", x=np.float32([1, 2]))
    assert set(stubs[0].Predict(request, timeout=30).outputs) == {"sum", "x"}
    request.output_filter.append("sum")
    assert set(stubs[0].Predict(request, timeout=30).outputs) == {"sum"}
    request.output_filter.append("sum")
    assert refusal(stubs[0].Predict, request) == ("INVALID_ARGUMENT", "duplicate output tensor alias: sum")
    request.output_filter[:] = ["y"]
    assert refusal(stubs[0].Predict, request) == (
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: y. Outputs expected to be in the set {sum,x}.",
    )


@pytest.mark.parametrize(
    ("model", "signature", "inputs", "code", "message"),
    [
        ("", "", {}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ("foo", "", {}, "NOT_FOUND", "Servable not found for request: Latest(foo)"),
        ("m", "X", {}, "FAILED_PRECONDITION", 'Serving signature key "X" not found.'),
        (
            "m",
            "",
            {},
            "INVALID_ARGUMENT",
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
        ),
        (
            "m",
            "",
            {"x": [1.0], "b": [1.0], "a": [1.0]},
            "INVALID_ARGUMENT",
            "input size does not match signature: 3!=1 len({a,b,x}) != len({x}). Sent extra: {a,b}. "
            "Missing but required: {}.",
        ),
        ("m", "", {"z": [1.0]}, "INVALID_ARGUMENT", "Signature input alias: x(feed name: "),
        ("m", "", {"x": [True]}, "INVALID_ARGUMENT", "Expects arg[0] to be float but bool is provided"),
        ("m", "", {"x": ["a"]}, "INVALID_ARGUMENT", "Expects arg[0] to be float but string is provided"),
        ("zoo", "dense", {"x": [[1.0, 2.0]]}, "INVALID_ARGUMENT", ""),
        ("zoo", "dense", {"x": 1.0}, "INVALID_ARGUMENT", ""),
    ],
)
def test_refused(stubs, model, signature, inputs, code, message):
    received, details = refusal(stubs[0].Predict, request_for(model, signature, **inputs))
    assert received == code
    assert message in details


def test_missing_model_spec(stubs):
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

    missing = ("INVALID_ARGUMENT", "Missing ModelSpec")
    assert refusal(stubs[0].Predict, predict_pb2.PredictRequest()) == missing
    assert refusal(stubs[0].GetModelMetadata, get_model_metadata_pb2.GetModelMetadataRequest()) == missing
    assert refusal(stubs[1].GetModelStatus, get_model_status_pb2.GetModelStatusRequest()) == missing


@pytest.mark.parametrize(
    "damage",
    [
        {"tensor_content": b"123"},
        {"tensor_shape": {"unknown_rank": True}},
        {"tensor_shape": {"dim": [{"size": -1}]}},
        {"dtype": 99},
    ],
)
def test_malformed_tensor(stubs, damage):
    import tensorflow as tf

    proto = tf.make_tensor_proto(np.float32([1, 2]))
    for name, value in damage.items():
        proto.ClearField(name)
        proto.MergeFrom(type(proto)(**{name: value}))
    assert refusal(stubs[0].Predict, request_for("m", x=proto)) == ("INVALID_ARGUMENT", "tensor parsing error: x")


def test_bytes_that_are_no_request(server):
    with server.channel() as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        assert refusal(call, b"\xff\xff\xff")[0] == "INVALID_ARGUMENT"


def test_long_messages_are_cut(stubs):
    code, details = refusal(stubs[0].Predict, request_for("n" * 2000, x=[1.0]))
    assert code == "NOT_FOUND"
    assert details.endswith("...TRUNCATED")
    assert len(details) == 1024 + len("...TRUNCATED")


def test_metadata(stubs):
    from tensorflow_serving.apis import get_model_metadata_pb2

    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = "m"
    assert refusal(stubs[0].GetModelMetadata, request) == (
        "INVALID_ARGUMENT",
        "GetModelMetadataRequest must specify at least one metadata_field",
    )
    request.metadata_field.append("other")
    assert refusal(stubs[0].GetModelMetadata, request) == ("INVALID_ARGUMENT", "Metadata field other is not supported")
    request.metadata_field[:] = ["signature_def"]
    response = stubs[0].GetModelMetadata(request, timeout=30)
    assert response.model_spec.version.value == 123
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert {"serving_default", "regress_x_to_y"} <= set(signatures.signature_def)


def test_status(stubs):
    from tensorflow_serving.apis import get_model_status_pb2

    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "m"
    (version,) = stubs[1].GetModelStatus(request, timeout=30).model_version_status
    assert (version.version, version.state) == (123, get_model_status_pb2.ModelVersionStatus.AVAILABLE)
    request.model_spec.name = "foo"
    assert refusal(stubs[1].GetModelStatus, request) == ("NOT_FOUND", "Could not find any versions of model foo")


def test_what_is_not_implemented_says_so(stubs):
    from tensorflow_serving.apis import classification_pb2, inference_pb2, model_management_pb2, regression_pb2

    for call, request in (
        (stubs[0].Classify, classification_pb2.ClassificationRequest()),
        (stubs[0].Regress, regression_pb2.RegressionRequest()),
        (stubs[0].MultiInference, inference_pb2.MultiInferenceRequest()),
        (stubs[1].HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest()),
    ):
        assert refusal(call, request)[0] == "UNIMPLEMENTED"
