"""List the cases of sections G, H and K for one running server: status, metadata, configuration, metrics."""

from __future__ import annotations

from typing import Any

from serving.conformance.case import Case, Growth, Grpc, Rest, case
from serving.conformance.errors import PREDICT, refused, spec, tensor
from serving.conformance.half_plus import METHODS
from serving.conformance.urls import ROWS, M
from serving.conformance.write import LABEL

METRICS = "/monitoring/prometheus/metrics"
_STATUS = "ModelService/GetModelStatus"
_METADATA = "PredictionService/GetModelMetadata"
_AVAILABLE = {
    "model_version_status": [
        {"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ]
}


def _info(name: str, dtype: str, *sizes: str) -> dict[str, Any]:
    dims = [{"size": size, "name": ""} for size in sizes]
    return {"dtype": dtype, "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": name}


_EXAMPLES, _X, _X2 = _info("tf_example:0", "DT_STRING", "-1"), "x:0", "x2:0"
_TENSORS = {
    "serving_default": ({"x": _info(_X, "DT_FLOAT", "-1", "1")}, {"y": _info("y:0", "DT_FLOAT", "-1", "1")}),
    "regress_x_to_y": ({"inputs": _EXAMPLES}, {"outputs": _info("y:0", "DT_FLOAT", "-1", "1")}),
    "regress_x_to_y2": ({"inputs": _EXAMPLES}, {"outputs": _info("y2:0", "DT_FLOAT", "-1", "1")}),
    "regress_x2_to_y3": (
        {"inputs": _info(_X2, "DT_FLOAT", "-1", "1")},
        {"outputs": _info("y3:0", "DT_FLOAT", "-1", "1")},
    ),
    "classify_x_to_y": ({"inputs": _EXAMPLES}, {"scores": _info("y:0", "DT_FLOAT", "-1", "1")}),
    "classify_x2_to_y3": (
        {"inputs": _info(_X2, "DT_FLOAT", "-1", "1")},
        {"scores": _info("y3:0", "DT_FLOAT", "-1", "1")},
    ),
}
_GOLDEN = {
    "model_spec": {"name": "half_plus_two_tf1", "signature_name": "", "version": "123"},
    "metadata": {
        "signature_def": {
            "signature_def": {
                name: {"inputs": inputs, "outputs": outputs, "method_name": METHODS[name], "defaults": {}}
                for name, (inputs, outputs) in _TENSORS.items()
            }
        }
    },
}


def _page(*parts: str) -> Rest:
    return Rest(METRICS, parts=parts, content_type="text/plain")


def _requests(model: str, status: str) -> str:
    return f':tensorflow:serving:request_count{{model_name="{model}",status="{status}"}}'


def _latency(api: str, entrypoint: str, end: str = "count", more: str = "") -> str:
    labels = f'model_name="half_plus_two",API="{api}",entrypoint="{entrypoint}"{more}'
    return f":tensorflow:serving:request_latency_{end}{{{labels}}}"


_RIGHT, _WRONG = Rest(f"{M}:predict", ROWS), Rest("/v1/models/no_such_model:predict", ROWS, 404)
_RIGHT_GRPC = Grpc(PREDICT, spec() + tensor())

CASES: tuple[Case, ...] = (
    case(
        "G1",
        Rest(M, answer=_AVAILABLE),
        Rest(f"{M}/versions/123", answer=_AVAILABLE),
        Rest(f"{M}/labels/{LABEL}", answer=_AVAILABLE),
        Rest(f"{M}/labels/not_even_known", answer=_AVAILABLE),
        Rest("/v1/models/foo", status=404, error="Could not find any versions of model foo"),
        Rest(f"{M}/versions/5", status=404, error="Could not find version 5 of model half_plus_two"),
    ),
    case(
        "G5",
        Rest("/v1/models/half_plus_two_tf1/metadata", answer=_GOLDEN),
        Rest("/v1/models/half_plus_two_tf1/versions/123/metadata", answer=_GOLDEN),
        Rest(f"{M}/labels/{LABEL}/metadata"),
        Rest("/v1/models/foo/metadata", status=404, error="Servable not found for request: Latest(foo)"),
        refused(spec(), "GetModelMetadataRequest must specify at least one metadata_field", method=_METADATA),
        refused(spec() + 'metadata_field: "other"', "Metadata field other is not supported", method=_METADATA),
        Grpc(_METADATA, spec() + 'metadata_field: "signature_def"'),
    ),
    case(
        "G7",
        refused("", "Missing ModelSpec", method=_STATUS),
        refused(spec("foo"), "Could not find any versions of model foo", "NOT_FOUND", _STATUS),
        Grpc(
            _STATUS,
            spec("half_plus_two_2_versions"),
            "model_version_status { version: 124 state: AVAILABLE status {} } "
            "model_version_status { version: 123 state: AVAILABLE status {} }",
        ),
        Grpc(
            _STATUS,
            spec(more="version { value: 123 }"),
            "model_version_status { version: 123 state: AVAILABLE status {} }",
        ),
    ),
    case(
        "H1",
        Rest(f"{M}:predict", '{"instances":[2.0]}', answer={"predictions": [3.0]}),
        Rest("/v1/models/half_plus_three:predict", '{"instances":[2.0]}', answer={"predictions": [4.0]}),
    ),
    case(
        "H7",
        *(
            refused(
                config,
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported",
                method="ModelService/HandleReloadConfigRequest",
            )
            for config in ("", "config {}", 'config { custom_model_config { type_url: "type.googleapis.com/a.B" } }')
        ),
    ),
    case("K1", _page("# TYPE ")),
    case(
        "K2",
        _RIGHT,
        Growth(
            (_RIGHT, _RIGHT_GRPC),
            {':tensorflow:serving:runtime_latency_count{model_name="half_plus_two",API="Predict",runtime="TF1"}': 2},
        ),
        _page(
            "# TYPE :tensorflow:serving:request_count counter",
            "# TYPE :tensorflow:serving:request_latency histogram",
            _latency("predict", "REST", "bucket", ',le="+Inf"'),
            _latency("predict", "REST", "sum"),
            _latency("predict", "REST"),
        ),
        Rest("/v1/models/%22quoted%22%5C:predict", ROWS, 404),
        _page(r'model_name="\"quoted\"\\"'),
    ),
    case(
        "K3",
        Growth((_RIGHT, _WRONG), {_requests("half_plus_two", "OK"): 1, _requests("no_such_model", "NOT_FOUND"): 1}),
        Growth((_RIGHT_GRPC,), {_requests("half_plus_two", "OK"): 1}),
    ),
    case(
        "K4",
        Growth((_RIGHT,), {_latency("predict", "REST"): 1, _latency("predict", "REST", "bucket", ',le="+Inf"'): 1}),
        Growth((_RIGHT_GRPC,), {_latency("Predict", "GRPC"): 1}),
        Growth((_WRONG,), {_latency("predict", "REST"): 0}),
        _page(
            *(_latency("predict", "REST", "bucket", f',le="{limit}"') for limit in ("10", "18", "32.4", "1.47476e+09"))
        ),
    ),
)
