"""List section D: tensors as JSON, and the form of errors."""

from __future__ import annotations

import json
from math import inf, nan

from serving.conformance.case import Case, Rest, case
from serving.conformance.urls import ANSWER, ROWS, M
from serving.conformance.values import ECHO, bad, ok

_NESTED = [[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 0], [1, 2]]]
_FLOATS = [9000000.0, 999999.0, 0.5, 0.0003, 0.00003, 555557.5]

CASES: tuple[Case, ...] = (
    case(
        "D1",
        ok("int32", {"instances": _NESTED}, {"predictions": _NESTED}),
        ok("int32", {"inputs": _NESTED}, {"outputs": _NESTED}),
    ),
    case(
        "D2",
        ok(
            "two",
            {"instances": [{"a": 1.0, "b": [2.0]}, {"a": 3.0, "b": [4.0]}]},
            {"predictions": [{"a": 1.0, "b": [2.0]}, {"a": 3.0, "b": [4.0]}]},
        ),
        ok("two", {"inputs": {"a": [1.0], "b": 2.0}}, {"outputs": {"a": [1.0], "b": 2.0}}),
        ok(
            "texts",
            {"instances": [{"b64": "/w=="}, "hi"]},
            {
                "predictions": [
                    {"text": "\udcff", "text_bytes": {"b64": "/w=="}},
                    {"text": "hi", "text_bytes": {"b64": "aGk="}},
                ]
            },
        ),
    ),
    case(
        "D4",
        Rest(
            ECHO,
            json.dumps({"signature_name": "float", "instances": _FLOATS}),
            answer={"predictions": _FLOATS},
            parts=("999999.0", "0.5", "555557.5"),
        ),
        ok("double", {"instances": [0.1, 1e300, 5e-324]}, {"predictions": [0.1, 1e300, 5e-324]}),
    ),
    case(
        "D5",
        Rest(
            ECHO,
            '{"signature_name":"float","instances":[NaN,Infinity,-Infinity,1.0]}',
            answer={"predictions": [nan, inf, -inf, 1.0]},
            parts=("NaN", "Infinity", "-Infinity"),
        ),
    ),
    case("D6", Rest("/v1/models/empty:predict", ROWS, 400, error="Cannot convert empty tensor map to JSON")),
    case(
        "D7",
        bad("to_complex", {"instances": [1.0]}, "Failed to write JSON value for tensor type: complex64"),
        bad("to_half", {"instances": [1.0]}, "Failed to write JSON value for tensor type: half"),
    ),
    case("D9", bad("uneven", {"instances": [1.0, 2.0]}, "has inconsistent batch size: ")),
    case(
        "D11",
        Rest(
            f"{M}:predict",
            '{"signature_name":"a \\"b\\"","instances":[1.0]}',
            400,
            answer={"error": 'Serving signature name: "a "b"" not found in signature def'},
        ),
    ),
    case(
        "D12",
        Rest(
            f"{M}:predict",
            json.dumps({"instances": [1.0] * 5000, "inputs": [1.0]}),
            400,
            error="JSON Value: {",
            longest=600,
        ),
        bad("int32", {"instances": ["x" * 5000]}, "is not of expected type: int32"),
    ),
    case(
        "D13",
        Rest(f"{M}:predict", ROWS, answer=ANSWER),
        ok("with_sum", {"inputs": [1.0, 2.0]}, {"outputs": {"sum": 3.0, "x": [1.0, 2.0]}}),
        ok("none_left", {"instances": [1.0, 2.0]}, {"predictions": []}),
        Rest(
            ECHO,
            '{"signature_name":"with_sum","instances":[1.0]}',
            400,
            answer={"error": "Tensor name: sum has no shape information "},
        ),
    ),
)
