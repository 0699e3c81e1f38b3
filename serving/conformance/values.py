"""List sections B and C: predictions that succeed, and JSON as tensors."""

from __future__ import annotations

import json
from math import inf, nan
from typing import Any

from serving.conformance.case import Case, Grpc, Rest, case
from serving.conformance.urls import ANSWER, ROWS, M
from serving.conformance.write import LABEL

ECHO = "/v1/models/echo:predict"
_DEEP = "[" * 500_000 + "]" * 500_000


def ok(signature: str, content: dict[str, Any], answer: Any) -> Rest:
    """Make a request to the model echo that must succeed."""
    return Rest(ECHO, json.dumps({"signature_name": signature, **content}), answer=answer)


def bad(signature: str, content: dict[str, Any], error: str, status: int = 400) -> Rest:
    """Make a request to the model echo that must be refused."""
    return Rest(ECHO, json.dumps({"signature_name": signature, **content}), status, error=error)


def refused(body: str, error: str) -> Rest:
    """Make a request to half_plus_two with a body that must be refused."""
    return Rest(f"{M}:predict", body, 400, error=error)


def counter(signature: str, inputs: str = "", value: float | None = None) -> Grpc:
    """Make a call of the counter, with the expected output ``value``."""
    answer = None
    if value is not None:
        answer = (
            f'model_spec {{ name: "counter" version {{ value: 1 }} signature_name: "{signature}" }} '
            f'outputs {{ key: "output" value {{ dtype: DT_FLOAT tensor_shape {{}} float_val: {value} }} }}'
        )
    spec = f'model_spec {{ name: "counter" signature_name: "{signature}" }} '
    return Grpc("PredictionService/Predict", spec + inputs, answer)


_DELTA = 'inputs { key: "delta" value { dtype: DT_FLOAT tensor_shape {} float_val: 3 } }'
_FOUR = [
    {"int_tensor": 1, "str_tensor": "one", "float_tensor": [1.0, nan], "double_tensor": 1.5},
    {"int_tensor": 2, "str_tensor": "two", "float_tensor": [2.0, inf], "double_tensor": 2.5},
]
_TRIPLE = [[[1, 2], [3, 4], [5, 6]]]

SUCCESSES: tuple[Case, ...] = (
    case(
        "B1",
        Rest(f"{M}:predict", '{"instances":[[1.0,2.0],[3.0,4.0]]}', answer={"predictions": [[2.5, 3.0], [3.5, 4.0]]}),
    ),
    case("B2", Rest(f"{M}/versions/123:predict", ROWS, answer=ANSWER)),
    case("B3", Rest(f"{M}/labels/{LABEL}:predict", ROWS, answer=ANSWER)),
    case(
        "B5",
        Rest(f"{M}:predict", '{"signature_name":"serving_default","inputs":[3.0,4.0]}', answer={"outputs": [3.5, 4.0]}),
    ),
    case(
        "B6",
        *(
            Rest(f"/v1/models/{name}:predict", '{"instances":[2.0,3.0,4.0]}', answer={"predictions": [3.0, 3.5, 4.0]})
            for name in ("half_plus_two", "half_plus_two_tf1", "half_plus_two_2_versions")
        ),
    ),
    case(
        "B9",
        counter("reset_counter"),
        counter("get_counter", value=0),
        counter("incr_counter", value=1),
        counter("reset_counter", value=0),
        counter("incr_counter", value=1),
        counter("incr_counter_by", _DELTA, value=4),
    ),
)

CONVERSIONS: tuple[Case, ...] = (
    case("C1", ok("int32", {"instances": [[1, 2], [3, 4], [5, 6]]}, {"predictions": [[1, 2], [3, 4], [5, 6]]})),
    case(
        "C2",
        Rest(ECHO, f'{{"signature_name":"int32","instances":[1],"nested":{_DEEP}}}', answer={"predictions": [1]}),
    ),
    case("C3", Rest(ECHO, f'{{"signature_name":{_DEEP}}}', 400, error="key must be a string value")),
    case(
        "C4",
        ok(
            "float",
            {"instances": [1, 2.0, 3, 4, 5.003, 0.007, 0.0]},
            {"predictions": [1.0, 2.0, 3.0, 4.0, 5.003, 0.007, 0.0]},
        ),
    ),
    case(
        "C6",
        ok("float", {"instances": [1435774380]}, {"predictions": [1435774336.0]}),
        ok("float", {"instances": [1435774380.0]}, {"predictions": [1435774336.0]}),
    ),
    case(
        "C9",
        ok("string", {"instances": [{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]}, {"predictions": ["hello", "world"]}),
    ),
    case("C12", ok("four", {"instances": _FOUR}, {"predictions": _FOUR})),
    case(
        "C13",
        ok("one_named", {"inputs": {"int_tensor": _TRIPLE}}, {"outputs": _TRIPLE}),
        ok("one_named", {"inputs": _TRIPLE}, {"outputs": _TRIPLE}),
    ),
    case("C15", Rest(f"{M}:predict", ROWS + " and more }]", answer=ANSWER)),
    case("C16", refused("", "JSON Parse error: The document is empty")),
    case("C17", refused("instances = [1, 2]", "JSON Parse error: Invalid value")),
    case("C18", refused("[1]", "Is not object")),
    case(
        "C20",
        refused(
            '{"instances":[1.0],"inputs":[1.0]}',
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist",
        ),
    ),
    case("C21", refused("{}", "Missing 'inputs' or 'instances' key")),
    case(
        "C22",
        refused('{"instances":5}', "'instances' to be an list/array"),
        refused('{"instances":{"x":1.0}}', "'instances' to be an list/array"),
    ),
    case("C23", refused('{"instances":[]}', "No values in 'instances' array")),
    case("C24", bad("int32", {"instances": [[1, 2], [3, 4], [5, 6, 7]]}, "Expecting tensor size: 2 but got: 3")),
    case("C27", bad("float", {"instances": ["x", "y"]}, "not of expected type: float")),
    case(
        "C28",
        bad("int32", {"instances": [1.0]}, "not of expected type: int32"),
        bad("int32", {"instances": [3000000000]}, "not of expected type: int32"),
    ),
    case(
        "C29",
        bad("float", {"instances": [None]}, "Type: Null is not of expected type"),
        bad("float", {"instances": [True]}, "Type: True is not of expected type"),
        bad("int32", {"instances": [None]}, "Type: Null is not of expected type"),
        bad("int32", {"instances": [True]}, "Type: True is not of expected type"),
    ),
    case(
        "C30",
        *(bad(dtype, {"instances": [1]}, f"to type: {dtype}", 501) for dtype in ("half", "bfloat16", "uint16")),
        bad("complex64", {"instances": [1]}, "to type: complex64", 501),
    ),
    case(
        "C31",
        bad("string", {"instances": [{"b64": "%%%"}]}, "Unable to base64 decode"),
        bad("string", {"inputs": [{"b64": 1}]}, "not formatted correctly for base64 data"),
        bad("string", {"inputs": [{"b64": "aGk=", "more": 1}]}, "not formatted correctly for base64 data"),
    ),
    case(
        "C32",
        bad(
            "two",
            {"instances": [1.0, 2.0]},
            "instances is a plain list, but expecting list of objects as multiple input tensors required",
        ),
    ),
    case(
        "C33",
        bad("two", {"instances": [{"a": 1.0, "b": 2.0}, [1.0]]}, "Expecting object but got list at item 1 of input"),
    ),
    case("C36", bad("two", {"instances": [{"a": 1.0}]}, "keys must be equal to: a,b")),
    case(
        "C37",
        bad(
            "two",
            {"inputs": [1.0]},
            "inputs is a plain value/list, but expecting an object as multiple input tensors required",
        ),
    ),
    case(
        "C40",
        bad("float", {"instances": [[[1, 2], [3]]]}, "Encountered list at unexpected size: 1"),
        bad("float", {"inputs": [[[1], 2]]}, "found at incorrect level"),
        bad("float", {"inputs": [[1], 2]}, "found at incorrect level"),
    ),
)
CASES = (*SUCCESSES, *CONVERSIONS)
