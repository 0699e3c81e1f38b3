"""List section E: classify and regress."""

from __future__ import annotations

import json
from typing import Any

from serving.conformance.case import ANY, Case, Grpc, Rest, case
from serving.conformance.urls import M
from serving.conformance.write import LABEL


def _ask(method: str, content: dict[str, Any], status: int = 200, **expected: Any) -> Rest:
    signature = {"regress": "regress_x_to_y", "classify": "classify_x_to_y"}[method]
    body = json.dumps({"signature_name": signature, **content})
    return Rest(f"{M}:{method}", body, status, expected.get("answer", ANY), expected.get("error", ""))


def _regress(url: str) -> Rest:
    body = '{"signature_name":"regress_x_to_y","examples":[{"x":80.0}]}'
    return Rest(f"/v1/models/{url}:regress", body, answer={"results": [42.0]})


def _refused(content: dict[str, Any], error: str) -> tuple[Rest, Rest]:
    return _ask("regress", content, 400, error=error), _ask("classify", content, 400, error=error)


CASES: tuple[Case, ...] = (
    case(
        "E1",
        _regress("half_plus_two"),
        _regress("half_plus_two/versions/123"),
        _regress(f"half_plus_two/labels/{LABEL}"),
        _regress("half_plus_two_tf1"),
        _ask("regress", {"context": {"x": 80.0}, "examples": [{}, {"x": 2.0}]}, answer={"results": [42.0, 3.0]}),
        _ask("regress", {"examples": [{"x": [float("inf")]}]}, answer={"results": [float("inf")]}),
    ),
    case(
        "E2",
        _ask("classify", {"examples": [{"x": 20.0}]}, answer={"results": [[["", 12.0]]]}),
        _ask("classify", {"examples": [{"x": [10.0]}]}, answer={"results": [[["", 7.0]]]}),
        Rest(
            "/v1/models/half_plus_two_tf1:classify",
            '{"signature_name":"classify_x_to_y","examples":[{"x":20.0},{"x":10.0}]}',
            answer={"results": [[["", 12.0]], [["", 7.0]]]},
        ),
        Rest(
            "/v1/models/echo:classify",
            '{"signature_name":"labels","examples":[{},{"any":"thing"}]}',
            answer={"results": [[["cat", 0.75], ["dog", 0.25]]] * 2},
        ),
    ),
    case(
        "E4",
        *_refused(
            {"examples": [{"x": 80}]},
            "Key: x, Index: 0.  Data types don't match. Data type: int64 but expected type: float",
        ),
    ),
    case(
        "E6",
        *_refused({"signature_name": ["hello"], "examples": [{"x": 1.0}]}, "'signature_name' key must be a string"),
    ),
    case("E9", *_refused({"examples": [[{"x": 1.0}]]}, "Example must be JSON object")),
    case(
        "E11",
        *_refused(
            {"examples": [{"names": [10, 10.0]}]}, "Unexpected element type in feature: names expecting type: int64"
        ),
        *_refused({"examples": [{"n": [1.0, 2]}]}, "Unexpected element type in feature: n expecting type: float"),
        *_refused({"examples": [{"n": ["a", 2]}]}, "Unexpected element type in feature: n expecting type: bytes"),
        *_refused({"examples": [{"n": [None]}]}, "Feature: n has element with unexpected JSON type: Null"),
        *_refused({"examples": [{"n": {"a": 1}}]}, "Feature: n has element with unexpected JSON type: Object"),
        *_refused({"examples": [{"n": [[1]]}]}, "Feature: n has element with unexpected JSON type: Array"),
        *_refused({"examples": [{"n": 2**64 - 1}]}, "has uint64_t element. Only int64_t is supported."),
        *_refused({"context": [], "examples": [{}]}, "Example must be JSON object but got JSON Array"),
        _ask(
            "regress", {"examples": [{"x": 2.0, "mixed": [1, True], "s": {"b64": "aGk="}}]}, answer={"results": [3.0]}
        ),
    ),
    case(
        "E13",
        *_refused({}, "key 'examples' is expected and was not found"),
        *_refused({"examples": []}, "value is an empty array"),
        *_refused({"examples": {}}, "Expecting 'examples' value to be an list/array"),
    ),
    case(
        "E14",
        *_refused({"signature_name": "X", "examples": [{"x": 1.0}]}, "No signature was found with the name: X"),
    ),
    case(
        "E15",
        *(
            Grpc(
                f"PredictionService/{method}",
                f'model_spec {{ name: "half_plus_two" signature_name: "{method.lower()}_x_to_y" }} {given}',
                code="INVALID_ARGUMENT",
                error="Input is empty",
            )
            for method in ("Classify", "Regress")
            for given in ("", "input { example_list {} }", "input { example_list_with_context { context {} } }")
        ),
    ),
)
