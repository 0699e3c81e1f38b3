"""Valid messages with any content: hypothesis fills every request of both services."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import descriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PROPER = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED", "OUT_OF_RANGE"}
PROPER |= {"RESOURCE_EXHAUSTED"}  # a tensor of more bytes than the server may hold
NAMES = ("half_plus_two", "half_plus_two_tf1", "echo", "counter", "none", "", "x", "inputs", "default")
NAMES += ("serving_default", "regress_x_to_y", "classify_x_to_y", "float", "string", "half", "complex64")
NAMES += ("signature_def", "tensorflow/serving/regress", "tensorflow/serving/classify")
# Between these are sizes that the server holds.
SIZES = (0, 1, 1, 1, 2, 3, -1, 1000, 2**50, 2**62, 2**63 - 1, -(2**63))
WHOLE = (0, 1, 2, 123, 124, -1, 2**31 - 1, -(2**31))

NUMBERS = {
    descriptor.FieldDescriptor.CPPTYPE_INT32: st.sampled_from(WHOLE),
    descriptor.FieldDescriptor.CPPTYPE_INT64: st.sampled_from((*WHOLE, 2**63 - 1, -(2**63))),
    descriptor.FieldDescriptor.CPPTYPE_UINT32: st.sampled_from((0, 1, 2**32 - 1)),
    descriptor.FieldDescriptor.CPPTYPE_UINT64: st.sampled_from((0, 1, 2**64 - 1)),
    descriptor.FieldDescriptor.CPPTYPE_FLOAT: st.floats(width=32),
    descriptor.FieldDescriptor.CPPTYPE_DOUBLE: st.floats(),
    descriptor.FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    descriptor.FieldDescriptor.CPPTYPE_ENUM: st.sampled_from((0, 1, 1, 2, 3, 7, 10, 14, 19, 20, 101, 999, -1)),
}
NOT_FILLED = ("tensorflow.ResourceHandleProto", "tensorflow.VariantTensorDataProto")


def fill(draw, message, depth=0):
    """Set some fields of ``message``, and return it."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type is not None and field.message_type.full_name in NOT_FILLED:
            continue
        # Messages, names and dtypes are filled more often than other fields, to reach the deeper checks.
        if not draw(st.integers(0, 3 if field.message_type is not None or field.name in ("name", "dtype") else 1)):
            continue
        if field.is_repeated:
            for _ in range(draw(st.integers(0, 3))):
                add(draw, message, field, depth)
        elif field.message_type is not None:
            getattr(message, field.name).SetInParent()
            if depth < 7:
                fill(draw, getattr(message, field.name), depth + 1)
        else:
            setattr(message, field.name, value(draw, field))
    return message


def add(draw, message, field, depth):
    values = getattr(message, field.name)
    if field.message_type is None:
        values.append(value(draw, field))
    elif field.message_type.GetOptions().map_entry:
        key, inner = draw(st.sampled_from(NAMES)), field.message_type.fields_by_name["value"]
        if inner.message_type is None:
            values[key] = value(draw, inner)
        else:
            fill(draw, values[key], depth + 1)
    else:
        fill(draw, values.add(), depth + 1)


def value(draw, field):
    if field.full_name == "tensorflow.TensorShapeProto.Dim.size":
        return draw(st.sampled_from(SIZES))
    if field.cpp_type == descriptor.FieldDescriptor.CPPTYPE_STRING:
        is_text = field.type == descriptor.FieldDescriptor.TYPE_STRING
        return draw(st.sampled_from(NAMES)) if is_text else draw(st.binary(max_size=12))
    return draw(NUMBERS[field.cpp_type])


def requests():
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        predict_pb2,
        regression_pb2,
    )

    return {
        "PredictionService/Predict": predict_pb2.PredictRequest,
        "PredictionService/Classify": classification_pb2.ClassificationRequest,
        "PredictionService/Regress": regression_pb2.RegressionRequest,
        "PredictionService/MultiInference": inference_pb2.MultiInferenceRequest,
        "PredictionService/GetModelMetadata": get_model_metadata_pb2.GetModelMetadataRequest,
        "ModelService/GetModelStatus": get_model_status_pb2.GetModelStatusRequest,
    }


@pytest.fixture(scope="module")
def channel(server):
    with server.channel() as opened:
        yield opened


def code_of(channel, method: str, body: bytes) -> tuple[str, str]:
    try:
        channel.unary_unary(f"/tensorflow.serving.{method}")(body, timeout=30)
    except grpc.RpcError as error:
        return error.code().name, error.details() or ""
    return "OK", ""


@pytest.mark.parametrize("method", list(requests()))
def test_every_message_has_a_proper_answer(channel, method):
    @settings(max_examples=250, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def ask(data):
        request = fill(data.draw, requests()[method]())
        code, details = code_of(channel, method, request.SerializeToString())
        assert code in PROPER, (code, details, request)

    ask()


def tensors():
    """Make tensors for an existing input, with a dtype, shape and values that may or may not agree."""
    from tensorflow.core.framework import tensor_pb2

    @st.composite
    def made(draw):
        proto = tensor_pb2.TensorProto()
        proto.dtype = draw(st.sampled_from((1, 1, 1, 2, 3, 7, 8, 10, 14, 19, 20, 23, 0, 101, 77)))
        sizes = draw(st.lists(st.sampled_from(SIZES), max_size=4) | st.sampled_from(([1] * 64, [1] * 65, [1] * 300)))
        for size in sizes:
            proto.tensor_shape.dim.add(size=size)
        proto.tensor_shape.unknown_rank = draw(st.sampled_from((False,) * 9 + (True,)))
        proto.tensor_content = draw(st.just(b"") | st.binary(max_size=16))
        proto.float_val.extend(draw(st.lists(st.floats(width=32), max_size=3)))
        proto.string_val.extend(draw(st.lists(st.binary(max_size=3), max_size=2)))
        proto.int_val.extend(draw(st.lists(st.sampled_from(WHOLE), max_size=2)))
        proto.half_val.extend(draw(st.lists(st.sampled_from((0, 1, 65535, 65536, -1)), max_size=2)))
        proto.scomplex_val.extend(draw(st.lists(st.floats(width=32), max_size=3)))
        return proto

    return made()


@pytest.mark.parametrize(
    ("model", "signature", "name"),
    [
        ("half_plus_two", "", "x"),
        ("half_plus_two", "regress_x_to_y", "inputs"),
        *(("echo", kind, "default") for kind in ("float", "string", "half", "uint8", "bool", "complex64", "bfloat16")),
    ],
)
def test_every_tensor_has_a_proper_answer(channel, model, signature, name):
    from tensorflow_serving.apis import predict_pb2

    @settings(max_examples=120, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(tensors())
    def ask(proto):
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = model, signature
        request.inputs[name].CopyFrom(proto)
        code, details = code_of(channel, "PredictionService/Predict", request.SerializeToString())
        assert code in PROPER, (code, details)

    ask()


def test_nothing_of_it_was_unexpected(server, channel):
    assert code_of(channel, "PredictionService/Predict", b"\xff")[0] == "INVALID_ARGUMENT"
    log = server.process.log.read_text()
    assert "Unexpected error" not in log
    assert "Traceback" not in log
