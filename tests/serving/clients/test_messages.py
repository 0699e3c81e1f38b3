"""Messages made from a table have the bytes of the generated ones."""

from __future__ import annotations

import subprocess
import sys

import pytest

from serving.clients.messages import messages
from serving.clients.tf_serving_grpc import MESSAGES

SCALARS = "double float int32 int64 uint32 uint64 sint32 sint64 fixed32 fixed64 sfixed32 sfixed64 bool".split()  # noqa: SIM905


def test_the_same_bytes_as_the_official_stubs():
    from tensorflow_serving.apis import predict_pb2

    def fill(request):
        request.model_spec.name = "m"
        request.model_spec.version.value = 123
        request.model_spec.signature_name = "serving_default"
        tensor = request.inputs["x"]
        tensor.dtype = 1
        for size in (2, -1, 0):
            tensor.tensor_shape.dim.add(size=size, name="d")
        tensor.tensor_content = b"\0\1\2"
        tensor.float_val.extend([1.5, -2.0])
        tensor.double_val.extend([1.5])
        tensor.int_val.extend([-1, 2**31 - 1])
        tensor.string_val.extend([b"\xff", b""])
        tensor.int64_val.extend([-(2**63)])
        tensor.bool_val.extend([True, False])
        tensor.half_val.extend([1])
        tensor.uint32_val.extend([2**32 - 1])
        tensor.uint64_val.extend([2**64 - 1])
        tensor.scomplex_val.extend([1, 2])
        tensor.dcomplex_val.extend([1, 2])
        request.output_filter.extend(["y", "z"])
        return request.SerializeToString(deterministic=True)

    ours = fill(MESSAGES["PredictRequest"]())
    assert ours == fill(predict_pb2.PredictRequest())
    assert MESSAGES["PredictRequest"].FromString(ours).SerializeToString(deterministic=True) == ours
    label = MESSAGES["ModelSpec"](version_label="stable")
    label.version.value = 1  # the other branch of the oneof
    assert label.WhichOneof("version_choice") == "version"
    response = predict_pb2.PredictResponse()
    response.outputs["y"].float_val.append(3.0)
    assert list(MESSAGES["PredictResponse"].FromString(response.SerializeToString()).outputs["y"].float_val) == [3.0]


def test_every_scalar_packed_maps_and_nested_messages():
    classes = messages(
        "test.some",
        {
            "Outer": {
                **{f"a_{kind}": f"{kind} = {number}" for number, kind in enumerate(SCALARS, 1)},
                **{f"many_{kind}": f"repeated {kind} = {number}" for number, kind in enumerate(SCALARS, 31)},
                "text_by_number": "map<int64, string> = 61",
                "inner_by_name": "map<string,Outer.Inner>=62",
                "inner": "Outer.Inner = 63 oneof choice",
                "text": "string = 64 oneof choice",
                "blobs": "repeated bytes = 65",
            },
            "Outer.Inner": {"deep": "Outer.Inner.Deep = 1", "next": "Outer = 2"},
            "Outer.Inner.Deep": {"value": "int32 = 1"},
        },
    )
    message = classes["Outer"]()
    for kind in SCALARS:
        setattr(message, f"a_{kind}", 1)
        getattr(message, f"many_{kind}").extend([1, 0, 1])
    message.text_by_number[-5] = "é"
    message.inner_by_name["k"].deep.value = 7
    message.text = ""
    assert message.WhichOneof("choice") == "text"
    message.inner.next.blobs.append(b"\0")
    assert message.WhichOneof("choice") == "inner"
    back = classes["Outer"].FromString(message.SerializeToString())
    assert back == message
    assert back.inner_by_name["k"].deep.value == 7
    assert list(back.many_sint64) == [1, 0, 1]
    assert classes["Outer.Inner"] is type(back.inner)


def test_packed_is_the_default():
    numbers = messages("test.packed", {"M": {"n": "repeated int32 = 1"}})["M"](n=[1, 2, 3])
    assert numbers.SerializeToString() == b"\x0a\x03\x01\x02\x03"


def test_two_tables_may_use_the_same_names():
    first = messages("same", {"M": {"n": "int32 = 1"}})["M"]
    second = messages("same", {"M": {"n": "string = 1"}})["M"]
    assert (first(n=1).n, second(n="1").n) == (1, "1")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"M": {"n": "int32"}}, "field M.n must be"),
        ({"M": {"n": "optional int32 = 1"}}, "field M.n must be"),
        ({"M": {"n": "repeated Missing = 1"}}, "Received: 'Missing'"),
        ({"M": {"n": "map<string, Missing> = 1"}}, "Received: 'Missing'"),
        ({"A.B": {}}, "Received: A.B"),
    ],
)
def test_mistakes_in_a_table(table, message):
    with pytest.raises(ValueError, match=message):
        messages("test.bad", table)


def test_a_client_imports_no_framework():
    program = (
        "import sys, serving.clients.tf_serving_grpc, serving.clients.tf_serving_rest, serving.tf_serving.recipe;"
        "print(*{'tensorflow', 'tensorflow_serving', 'grpc', 'httptools', 'kserve', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""
