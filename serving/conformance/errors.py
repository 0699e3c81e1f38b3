"""List section F: missing models, versions, signatures and labels, and requests that gRPC refuses."""

from __future__ import annotations

from serving.conformance.case import Case, Grpc, Rest, case
from serving.conformance.urls import ROWS, M
from serving.conformance.values import ECHO

PREDICT = "PredictionService/Predict"
_MULTI = "PredictionService/MultiInference"


def spec(name: str = "half_plus_two", more: str = "") -> str:
    """Write a model_spec in text format."""
    return f'model_spec {{ name: "{name}" {more} }} '


def tensor(key: str = "x", content: str = "dtype: DT_FLOAT tensor_shape { dim { size: 1 } } float_val: 2") -> str:
    """Write one input in text format."""
    return f'inputs {{ key: "{key}" value {{ {content} }} }} '


def refused(request: str, error: str, code: str = "INVALID_ARGUMENT", method: str = PREDICT) -> Grpc:
    """Make a gRPC request that must be refused."""
    return Grpc(method, request, code=code, error=error)


def resolved(signature: str, name: str = "half_plus_two", version: int = 123) -> str:
    """Write the model_spec of an answer."""
    return spec(name, f'version {{ value: {version} }} signature_name: "{signature}"')


def _task(name: str, method: str, model: str = "half_plus_two_tf1") -> str:
    model_spec = spec(model, f'signature_name: "{name}"')
    return f'tasks {{ {model_spec} method_name: "tensorflow/serving/{method}" }} '


_X2 = 'features { feature { key: "x" value { float_list { value: 2 } } } }'
_INPUT = f"input {{ example_list {{ examples {{ {_X2} }} }} }} "
_REGRESS, _CLASSIFY = _task("regress_x_to_y", "regress"), _task("classify_x_to_y", "classify")
_TF1 = "half_plus_two_tf1"
_BOTH = (
    f"results {{ {resolved('regress_x_to_y', _TF1)} regression_result {{ regressions {{ value: 3 }} }} }} "
    f"results {{ {resolved('classify_x_to_y', _TF1)} "
    "classification_result { classifications { classes { score: 3 } } } }"
)
_INCOMPATIBLE = "Matrix size-incompatible: In[0]: [1,2], In[1]: [3,2]"  # the kernel's own message

CASES: tuple[Case, ...] = (
    case(
        "F1",
        Rest("/v1/models/foo:predict", ROWS, 404, answer={"error": "Servable not found for request: Latest(foo)"}),
    ),
    case("F2", Rest("/v1/models/foo/versions/50:predict", ROWS, 404, error="Specific(foo, 50)")),
    case(
        "F4",
        *(
            Rest(f"{M}/labels/nonexistent:predict", body, 400, error="Unrecognized servable version label: nonexistent")
            for body in (ROWS, "no json")
        ),
    ),
    case(
        "F5",
        Rest(
            f"{M}:predict",
            '{"signature_name":"X","instances":[1.0]}',
            400,
            error='Serving signature name: "X" not found in signature def',
        ),
    ),
    case(
        "F6",
        refused(spec(more='signature_name: "X"'), 'Serving signature key "X" not found.', "FAILED_PRECONDITION"),
    ),
    case(
        "F7",
        refused("", "Missing ModelSpec"),
        refused("model_spec {}", "ModelSpec has no name specified."),
        refused(spec("foo"), "Servable not found for request: Latest(foo)", "NOT_FOUND"),
        refused(spec(more="version { value: 5 }"), "Specific(half_plus_two, 5)", "NOT_FOUND"),
        refused(spec(more='version_label: "none"'), "Unrecognized servable version label: none"),
    ),
    case(
        "F8",
        refused(
            spec(),
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
        ),
        refused(
            spec() + tensor("a") + tensor("b") + tensor("x"),
            "input size does not match signature: 3!=1 len({a,b,x}) != len({x}). Sent extra: {a,b}. "
            "Missing but required: {}.",
        ),
    ),
    case("F10", refused(spec() + tensor("z"), "Signature input alias: x(feed name: ")),
    case(
        "F11",
        refused(
            spec() + tensor("x", "dtype: DT_BOOL tensor_shape { dim { size: 1 } } bool_val: true"),
            "to be float but bool is provided",
        ),
        refused(
            spec() + tensor("x", 'dtype: DT_STRING tensor_shape { dim { size: 1 } } string_val: "hello"'),
            "to be float but string is provided",
        ),
    ),
    case(
        "F12",
        *(
            refused(spec() + tensor("x", content), "tensor parsing error: x")
            for content in (
                'dtype: DT_FLOAT tensor_shape { dim { size: 1 } } tensor_content: "123"',
                "dtype: DT_FLOAT tensor_shape { unknown_rank: true } float_val: 1",
                "dtype: DT_FLOAT tensor_shape { dim { size: -1 } } float_val: 1",
            )
        ),
    ),
    case(
        "F14",
        Rest(ECHO, '{"signature_name":"dense","instances":[[1.0,2.0]]}', 400, error=_INCOMPATIBLE),
        refused(
            spec("echo", 'signature_name: "dense"')
            + tensor("x", "dtype: DT_FLOAT tensor_shape { dim { size: 1 } dim { size: 2 } } float_val: 1"),
            _INCOMPATIBLE,
        ),
    ),
    case(
        "F15",
        Grpc(
            PREDICT,
            spec() + tensor(),
            resolved("serving_default")
            + 'outputs { key: "y" value { dtype: DT_FLOAT tensor_shape { dim { size: 1 } } float_val: 3 } }',
        ),
        Grpc(
            PREDICT,
            spec("echo", 'signature_name: "two"') + tensor("a") + tensor("b") + 'output_filter: "b"',
            resolved("two", "echo", 1)
            + 'outputs { key: "b" value { dtype: DT_FLOAT tensor_shape { dim { size: 1 } } float_val: 2 } }',
        ),
        refused(
            spec() + tensor() + 'output_filter: "z"',
            "output tensor alias not found in signature: z. Outputs expected to be in the set {y}.",
        ),
        refused(spec() + tensor() + 'output_filter: "y" output_filter: "y"', "duplicate output tensor alias: y"),
        Grpc(
            "PredictionService/Regress",
            spec(more='signature_name: "regress_x_to_y"') + _INPUT,
            resolved("regress_x_to_y") + "result { regressions { value: 3 } }",
        ),
        Grpc(
            "PredictionService/Classify",
            spec(more='signature_name: "classify_x_to_y"') + _INPUT,
            resolved("classify_x_to_y") + "result { classifications { classes { score: 3 } } }",
        ),
    ),
    case(
        "F17",
        Grpc(PREDICT, spec("n" * 2000), code="NOT_FOUND", error="...TRUNCATED", longest=1024 + len("...TRUNCATED")),
    ),
    case(
        "F18",
        Grpc(_MULTI, _REGRESS + _CLASSIFY + _INPUT, _BOTH),
        refused(_REGRESS + _REGRESS + _INPUT, "Duplicate evaluation of signature: regress_x_to_y", method=_MULTI),
        refused(_task("X", "regress") + _INPUT, "Requested signature not found in model graph: X", method=_MULTI),
        refused(
            _REGRESS + _task("classify_x_to_y", "classify", "half_plus_two") + _INPUT,
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
            method=_MULTI,
        ),
        refused(
            _task("serving_default", "predict") + _INPUT,
            "Unsupported signature method_name: tensorflow/serving/predict",
            "UNIMPLEMENTED",
            _MULTI,
        ),
        refused(_REGRESS + _CLASSIFY, "Input is empty", method=_MULTI),
    ),
)
