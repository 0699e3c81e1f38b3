"""JSON to tensors and back, without a server: sections C and D of the API's reference."""

# ruff: noqa: E501 - one case a line

from __future__ import annotations

import gc
import json
import math
from unittest import mock

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.tf_serving.base.dtypes import TensorInfo
from serving.tf_serving.base.errors import ServingError
from serving.tf_serving.codecs import json_depth
from serving.tf_serving.codecs.json_text import brief, parse
from serving.tf_serving.codecs.json_to_tensors import document, predict_inputs
from serving.tf_serving.codecs.tensors_to_json import error_body, predict_body


def info(name: str, dtype: str) -> TensorInfo:
    numpy = {"float": "f4", "double": "f8", "string": "O", "half": "f2", "complex64": "c8"}.get(dtype, dtype)
    return TensorInfo(name, f"{name}:0", dtype, 0, np.dtype(numpy))


def read(body: str, **inputs: str) -> dict[str, np.ndarray]:
    infos = {name: info(name, dtype) for name, dtype in sorted(inputs.items())}
    return predict_inputs(document(body.encode()), infos)[0]


def one(body: str, dtype: str) -> np.ndarray:
    return read(body, default=dtype)["default"]


@pytest.mark.parametrize(
    ("dtype", "body", "expected"),
    [
        ("int32", '{"instances":[[1,2],[3,4],[5,6]]}', np.int32([[1, 2], [3, 4], [5, 6]])),
        ("int32", '{"instances":[{"default":1},{"default":2}]}', np.int32([1, 2])),
        ("float", '{"instances":[1,2.0,3,4,5.003,0.007,0.0]}', np.float32([1, 2, 3, 4, 5.003, 0.007, 0])),
        ("float", '{"instances":[1435774380]}', np.float32([1435774336])),
        ("float", '{"instances":[1435774380.0]}', np.float32([1435774336])),
        ("float", '{"instances":[1e39,-1e39,1e-60,NaN,Infinity,-Infinity]}', np.float32([np.inf, -np.inf, 0, np.nan, np.inf, -np.inf])),
        ("double", '{"instances":[123456789012345678901234567890]}', np.float64([123456789012345678901234567890])),
        ("int64", '{"instances":[-9223372036854775808,9223372036854775807]}', np.array([-(2**63), 2**63 - 1])),
        ("uint64", '{"instances":[18446744073709551615]}', np.array([2**64 - 1], np.uint64)),
        ("bool", '{"instances":[true,false]}', np.array([True, False])),
        ("string", '{"instances":[{"b64":"aGVsbG8="},"world"]}', np.array([b"hello", b"world"], object)),
        ("string", '{"inputs":"a"}', np.array(b"a", object)),
        ("string", '{"inputs":[[{"b64":"_-8"}]]}', np.array([[b"\xff\xef"]], object)),
        ("int32", '{"inputs":[[[1,2],[3,4],[5,6]]]}', np.int32([[[1, 2], [3, 4], [5, 6]]])),
        ("int32", '{"inputs":{"default":[[[1,2],[3,4],[5,6]]]}}', np.int32([[[1, 2], [3, 4], [5, 6]]])),
        ("int32", '{"inputs":7}', np.int32(7)),
        ("float", '{"instances":[[],[]]}', np.zeros((2, 0), np.float32)),
        ("float", '{"inputs":[]}', np.zeros(0, np.float32)),
    ],
)  # fmt: skip
def test_read(dtype, body, expected):
    array = one(body, dtype)
    assert array.dtype == np.asarray(expected).dtype
    assert array.shape == np.shape(expected)
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    ("dtype", "body", "message"),
    [
        ("float", "", "JSON Parse error: The document is empty"),
        ("float", "  ", "JSON Parse error: The document is empty"),
        ("float", "instances = [1, 2]", "JSON Parse error: Invalid value. at offset: 0"),
        ("float", '{"instances":[1,2}', "JSON Parse error: Missing a comma or ] after an array element."),
        ("float", '{"instances":[1,2]', "JSON Parse error: Missing a comma or } after an object member."),
        ("float", '{"instances" 1}', "JSON Parse error: Missing a colon after a name of object member."),
        ("float", "{1:2}", "JSON Parse error: Missing a name for object member."),
        ("float", '{"instances":["a]}', "JSON Parse error: Missing a closing quotation mark in string."),
        ("float", "[1]", "JSON Value: [1] Is not object"),
        ("float", '{"signature_name":5}', "not formatted correctly. 'signature_name' key must be a string value."),
        ("float", '{"instances":[1],"inputs":[1]}', "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist"),
        ("float", "{}", "Missing 'inputs' or 'instances' key"),
        ("float", '{"instances":5}', "Expecting 'instances' to be an list/array"),
        ("float", '{"instances":{}}', "Expecting 'instances' to be an list/array"),
        ("float", '{"instances":[]}', "No values in 'instances' array"),
        ("int32", '{"instances":[[1,2],[3,4],[5,6,7]]}', "Failed to process element: 2 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 2 but got: 3"),
        ("int32", '{"instances":[[[1,2]],[[1],[2]]]}', "Expecting shape [1,2] but got: [2,1]"),
        ("float", '{"instances":["x","y"]}', 'JSON Value: "x" Type: String is not of expected type: float'),
        ("float", '{"instances":[1,null]}', "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: null Type: Null is not of expected type: float"),
        ("float", '{"instances":[true]}', "Type: True is not of expected type: float"),
        ("float", '{"inputs":[1,false]}', "Type: False is not of expected type: float"),
        ("int32", '{"instances":[1.0]}', "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        ("int32", '{"instances":[3000000000]}', "is not of expected type: int32"),
        ("uint32", '{"instances":[-1]}', "is not of expected type: uint32"),
        ("int64", '{"instances":[9223372036854775808]}', "is not of expected type: int64"),
        ("uint8", '{"instances":[300]}', "is not of expected type: uint8"),
        ("uint8", '{"inputs":[[-1]]}', "is not of expected type: uint8"),
        ("uint64", '{"inputs":[18446744073709551616]}', "is not of expected type: uint64"),
        ("float", '{"inputs":[1e400,NaN]}', "JSON Parse error: Number too big to be stored in double. at offset: 11"),
        ("double", '{"instances":[-1e400]}', "JSON Parse error: Number too big to be stored in double. at offset: 14"),
        ("double", f'{{"instances":[{"9" * 400}]}}', "JSON Parse error: Number too big to be stored in double. at offset: 14"),
        ("string", '{"instances":[1]}', "is not of expected type: string"),
        ("bool", '{"instances":[1]}', "is not of expected type: bool"),
        ("float", '{"inputs":[{"b64":"aa"}]}', "Type: Object is not of expected type: float"),
        ("string", '{"inputs":[{"b64":"%%%"}]}', "Unable to base64 decode"),
        ("string", '{"inputs":[{"b64":"aa","x":1}]}', "not formatted correctly for base64 data"),
        ("float", '{"instances":[1,{"default":1}]}', "Expecting value/list but got object at item 1 of input list"),
        ("float", '{"instances":[{"default":1},[1]]}', "Expecting object but got list at item 1 of input list"),
        ("float", '{"instances":[{"x":1}]}', "key: x of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have named input: x"),
        ("float", '{"instances":[{}]}', "keys must be equal to: default"),
        ("float", '{"inputs":{"x":1}}', "Missing named input: default in 'inputs' object."),
        ("float", '{"inputs":[[1,2],[3]]}', "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ("float", '{"inputs":[[1,2],3]}', "JSON Value: 3 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ("float", '{"inputs":[1,[2]]}', "Encountered list at unexpected level: 1 expected < 1"),
        ("float", '{"inputs":[[],[1]]}', "Encountered list at unexpected size: 1 at level: 1 expected size: 0"),
    ],
)  # fmt: skip
def test_refused(dtype, body, message):
    with pytest.raises(ServingError) as caught:
        one(body, dtype)
    assert caught.value.code == "INVALID_ARGUMENT"
    assert message in caught.value.message


@pytest.mark.parametrize("dtype", ["half", "bfloat16", "uint16", "complex64"])
@pytest.mark.parametrize("body", ['{"instances":[1]}', '{"inputs":1}'])
def test_dtypes_that_json_cannot_carry(dtype, body):
    infos = {"x": TensorInfo("x", "x:0", dtype, 0, np.dtype("u2"))}
    with pytest.raises(ServingError, match=f"Conversion of JSON Value: .* to type: {dtype}") as caught:
        predict_inputs(document(body.encode()), infos)
    assert caught.value.code == "UNIMPLEMENTED"


def test_several_inputs():
    body = '{"instances":[{"n":1,"s":"a"},{"s":"b","n":2}]}'
    arrays = read(body, n="int32", s="string")
    assert arrays["n"].tolist() == [1, 2]
    assert arrays["s"].tolist() == [b"a", b"b"]
    with pytest.raises(ServingError, match="keys must be equal to: n,s"):
        read('{"instances":[{"n":1}]}', n="int32", s="string")
    with pytest.raises(ServingError, match="Failed to process element: 1 key: n of 'instances' list"):
        read('{"instances":[{"n":1,"s":"a"},{"n":[1],"s":"a"}]}', n="int32", s="string")


def test_deep_values_that_nobody_reads():
    depth = 500_000
    deep = "[" * depth + "]" * depth
    assert one(f'{{"instances":[1],"nested":{deep}}}', "int32").tolist() == [1]
    with pytest.raises(ServingError, match="key must be a string value") as caught:
        one(f'{{"signature_name":{deep}}}', "int32")
    assert len(caught.value.message) < 400
    for key in ("instances", "inputs"):
        with pytest.raises(ServingError):
            one(f'{{"{key}":{deep}}}', "int32")
    objects = '{"a":' * depth + "1" + "}" * depth
    assert one(f'{{"inputs":[2],"nested":{objects}}}', "int32").tolist() == [2]


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def cut(value: object, levels: int) -> object:
    """The value with a 0 for each list or object that is below two levels of them."""
    if isinstance(value, list | dict) and levels < 0:
        return 0
    if isinstance(value, dict):
        return {key: cut(member, levels - 1) for key, member in value.items()}
    return [cut(member, levels - 1) for member in value] if isinstance(value, list) else value


@given(_json)
def test_every_parser_reads_the_same(value):
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        try:
            body = text.encode()
        except UnicodeEncodeError:
            continue
        expected = json.loads(text)
        with mock.patch.object(json_depth, "PLY", 2):
            assert parse(b"[NaN,%s]" % body)[1:] == [cut(expected, 0)]
        assert parse(body + b" trailing") == expected  # the standard library's
        if "\\ud" not in text:
            assert parse(body) == expected  # orjson's


@given(st.lists(st.floats(width=32), min_size=1), st.booleans())
def test_floats_read_back_as_they_are_in_their_shortest_form(values, rows):
    array = np.array(values, np.float32)
    text = predict_body({"y": array}, rows).decode()
    back = json.loads(text)["predictions" if rows else "outputs"]
    np.testing.assert_array_equal(np.array(back, np.float32), array)
    for value, number in zip(array, back, strict=True):
        assert isinstance(number, float)  # .0 is there
        if math.isfinite(number):
            assert repr(number) == repr(float(str(value)))


@pytest.mark.parametrize(
    ("outputs", "rows", "expected"),
    [
        ({"y": np.arange(4, dtype="i4").reshape(2, 2)}, True, {"predictions": [[0, 1], [2, 3]]}),
        ({"y": np.arange(4, dtype="i8").reshape(2, 2).T}, False, {"outputs": [[0, 2], [1, 3]]}),
        ({"a": np.float32([0.1, 2]), "b": np.array([[True], [False]])}, True, {"predictions": [{"a": 0.1, "b": [True]}, {"a": 2.0, "b": [False]}]}),
        ({"a": np.float32([0.1]), "b": np.uint8(3)}, False, {"outputs": {"a": [0.1], "b": 3}}),
        ({"a": np.float32([np.inf, 0.1]), "b": np.float32([0.1, 1])}, True, {"predictions": [{"a": math.inf, "b": 0.1}, {"a": 0.1, "b": 1.0}]}),
        ({"y": np.array([b"a", "é".encode()], object)}, True, {"predictions": ["a", "é"]}),
        ({"y_bytes": np.array([b"a"], object)}, True, {"predictions": [{"b64": "YQ=="}]}),
        ({"y": np.zeros((0, 3), np.float32)}, True, {"predictions": []}),
        ({"y": np.zeros((2, 0), np.float32)}, True, {"predictions": [[], []]}),
        ({"a": np.zeros((0, 3)), "b": np.zeros(0)}, True, {"predictions": []}),
        ({"y": np.float64(9000000)}, False, {"outputs": 9000000.0}),
    ],
)  # fmt: skip
def test_write(outputs, rows, expected):
    outputs = {name: np.asarray(array) for name, array in outputs.items()}
    assert json.loads(predict_body(outputs, rows)) == expected


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "Cannot convert empty tensor map to JSON"),
        ({"y": np.float32(1)}, "Tensor name: y has no shape information"),
        ({"a": np.zeros(2), "b": np.zeros(1)}, "Tensor name: b has inconsistent batch size: 1 expecting: 2"),
        ({"y": np.zeros(2, np.complex64)}, "Failed to write JSON value for tensor type: complex64"),
        ({"y": np.zeros(2, np.float16)}, "Failed to write JSON value for tensor type: half"),
    ],
)
def test_outputs_that_cannot_be_written(outputs, message):
    with pytest.raises(ServingError) as caught:
        predict_body({name: np.asarray(array) for name, array in outputs.items()}, True)
    assert message in caught.value.message


def test_error_bodies_are_escaped():
    assert orjson.loads(error_body('a "quoted" \n é \udcff'.replace("\udcff", ""))) == {"error": 'a "quoted" \n é '}
    assert json.loads(error_body("\udcff").decode("utf-8", "surrogateescape")) == {"error": "\udcff"}


def test_brief():
    assert brief({"a": [1, None, True, {"b": "c"}], "d": math.nan}) == '{"a":[1,null,true,{"b":"c"}],"d":NaN}'
    assert brief([]) == "[]"
    assert len(brief([0] * 10_000)) == 256
    assert len(brief("x" * 10_000)) == 256


@pytest.mark.parametrize(
    "body", ['{"instances":[[2.0],[1,2]]}', '{"instances":[{"b":2}]}', '{"inputs":"a"}', "[" * 2000]
)
def test_an_error_leaves_no_garbage(body):
    """The body of a request must be freed with its answer, not at the next full garbage collection."""

    def fail() -> None:
        with pytest.raises(ServingError):
            one(body, "float")

    fail()  # first call, for objects that are created only once
    gc.collect()
    gc.disable()
    try:
        fail()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found = [thing for thing in gc.garbage if isinstance(thing, ServingError)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert found == []
