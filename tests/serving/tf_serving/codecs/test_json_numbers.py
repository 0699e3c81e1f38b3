"""The fast parser for lists of numbers gives the same result as the exact one, or leaves the body to it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.tf_serving.base.dtypes import TensorInfo
from serving.tf_serving.base.errors import ServingError
from serving.tf_serving.codecs import json_numbers
from serving.tf_serving.codecs.json_to_tensors import document, predict_inputs
from serving.tf_serving.codecs.predict_request import PredictRequest

NUMPY = {"float": "f4", "double": "f8", "string": "O"}


def infos(dtype: str, *names: str) -> dict[str, TensorInfo]:
    return {name: TensorInfo(name, f"{name}:0", dtype, 0, np.dtype(NUMPY.get(dtype, dtype))) for name in names}


def outcome(read) -> tuple:
    try:
        arrays, rows = read()
    except ServingError as error:
        return error.code, error.message
    described = {
        name: (array.dtype, array.shape, array.tolist() if array.dtype == object else array.tobytes())
        for name, array in arrays.items()
    }
    return described, rows


def same(body: bytes, given: dict[str, TensorInfo]) -> None:
    fast = outcome(lambda: PredictRequest(body).inputs(given))
    exact = outcome(lambda: predict_inputs(document(body), given))
    assert fast == exact


def is_fast(body: bytes, given: dict[str, TensorInfo]) -> bool:
    try:
        request = PredictRequest(body)
    except ServingError:
        return False
    return request._numbers is not None and request._regular(request._numbers, given) is not None


@pytest.fixture(autouse=True)
def _even_for_small_bodies(monkeypatch):
    monkeypatch.setattr(json_numbers, "SMALLEST", 1)
    monkeypatch.setattr(json_numbers, "LARGEST_AROUND", 1000)


@pytest.mark.parametrize(
    ("dtype", "text"),
    [
        ("float", '{"instances":[[1,2.5],[3,-4e-3]]}'),
        ("float", ' {\n "signature_name" : "a" , "instances" : [ [1] ,\t[2] ] } '),
        ("float", '{"inputs":[1.0,2.0],"signature_name":"x"}'),
        ("float", '{"inputs":{"x":[[[1.0]],[[2.0]]]}}'),
        ("double", '{"instances":[0.1,1e308,5e-324,-0.0,-0]}'),
        ("float", '{"instances":[1e39,-1e39,1e-60,16777217,18446744073709551615]}'),
        ("float", '{"instances":[1,2]} and more'),
        ("int32", '{"instances":[[1,2],[3,4]]}'),
        ("int8", '{"instances":[127,-128]}'),
        ("uint64", '{"instances":[18446744073709551615,0]}'),
        ("int64", '{"instances":[9223372036854775807,-9223372036854775808]}'),
    ],
)
def test_regular_numbers_go_the_fast_way(dtype, text):
    assert is_fast(text.encode(), infos(dtype, "x"))
    same(text.encode(), infos(dtype, "x"))


@pytest.mark.parametrize(
    ("dtype", "text"),
    [
        ("float", '{"instances":[]}'),
        ("float", '{"instances":[[],[]]}'),
        ("float", '{"instances":[[],[5]]}'),
        ("float", '{"instances":[[1,2],[3]]}'),
        ("float", '{"instances":[[1,2],3]}'),
        ("float", '{"instances":[1,[2]]}'),
        ("float", '{"instances":[[[1],[2]],[[3,4]]]}'),
        ("float", '{"instances":[1,NaN]}'),
        ("float", '{"instances":[1,true]}'),
        ("float", '{"instances":[1,"2"]}'),
        ("float", '{"instances":[1,null]}'),
        ("float", '{"instances":[1,{"b64":"aa"}]}'),
        ("float", '{"instances":[{"x":[1]},{"x":[2]}]}'),
        ("float", '{"instances":[1,1e400]}'),
        ("float", '{"instances":[1,123456789012345678901234567890]}'),
        ("float", '{"instances":[1,2]'),
        ("float", '{"instances":[1,2}'),
        ("float", '{"instances":[1,,2]}'),
        ("float", '{"instances":[1 2]}'),
        ("float", '{"instances":[1],"inputs":[2]}'),
        ("float", '{"other":[1,2]}'),
        ("float", '{"inputs":{"y":[1,2]}}'),
        ("float", '{"instances":[1],"instances":[2]}'),
        ("float", '{"signature_name":[1,2],"instances":3}'),
        ("float", '{"signature_name":"[","instances":[3],"x":"]"}'),
        ("float", '[1,2]'),
        ("float", '{"instances":"\\u0001numbers\\u0001","x":[1]}'),
        ("int32", '{"instances":[1.0]}'),
        ("int32", '{"instances":[3000000000]}'),
        ("uint8", '{"instances":[-1]}'),
        ("int64", '{"instances":[9223372036854775808]}'),
        ("uint64", '{"instances":[-1]}'),
        ("bool", '{"instances":[true]}'),
        ("bool", '{"instances":[1]}'),
        ("string", '{"instances":["[1]"]}'),
        ("half", '{"instances":[1]}'),
        ("float", '{"instances":' + "[" * 70 + "1" + "]" * 70 + "}"),
        ("float", '{"instances":' + "[" * 2000 + "1" + "]" * 2000 + "}"),
    ],
)  # fmt: skip
def test_everything_else_is_answered_by_the_exact_way(dtype, text):
    given_infos = {"x": TensorInfo("x", "x:0", dtype, 0, np.dtype({**NUMPY, "half": "f2"}.get(dtype, dtype)))}
    assert not is_fast(text.encode(), given_infos)
    same(text.encode(), given_infos)


def test_several_inputs_are_left_to_the_exact_way():
    body = b'{"inputs":{"a":[1,2],"b":3}}'
    assert not is_fast(body, infos("float", "a", "b"))
    same(body, infos("float", "a", "b"))


_leaf = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_regular = st.lists(st.integers(1, 4), min_size=1, max_size=4).flatmap(
    lambda shape: st.lists(_leaf, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))).map(
        lambda values: np.array(values, object).reshape(shape).tolist()
    )
)
_irregular = st.recursive(_leaf | st.none() | st.booleans() | st.text(max_size=3), st.lists, max_leaves=12)


@settings(max_examples=400)
@given(
    _regular | st.lists(_irregular, max_size=4),
    st.sampled_from(["float", "double", "int32", "int64", "uint8", "uint64", "string"]),
    st.sampled_from([None, 0, 1]),
    st.booleans(),
)
def test_both_ways_agree(value, dtype, indent, rows):
    body = json.dumps({"instances" if rows else "inputs": value}, indent=indent).encode()
    same(body, infos(dtype, "x"))


@settings(max_examples=300)
@given(_regular, st.data())
def test_a_changed_byte_changes_nothing_between_them(value, data):
    body = bytearray(json.dumps({"instances": value}).encode())
    position = data.draw(st.integers(0, len(body) - 1))
    body[position] = data.draw(st.sampled_from(list(b'[],{}":0-.eE x')))
    same(bytes(body), infos("float", "x"))
