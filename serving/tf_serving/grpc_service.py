"""The gRPC face: PredictionService and ModelService of the package tensorflow.serving."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import grpc

from serving.tf_serving import classification, handlers, inference, metrics, regression
from serving.tf_serving.config import from_message
from serving.tf_serving.deadlines import begin
from serving.tf_serving.errors import CODES, ServingError, invalid
from serving.tf_serving.flags import Flags
from serving.tf_serving.manager import Manager

log = logging.getLogger(__name__)

MAX_MESSAGE = 1024
"""Characters of an error's message that travel; the rest is cut (tensorflow/serving, util/status_util)."""

Answer = Callable[[Any], Any]


def services(manager: Manager, flags: Flags) -> list[Any]:
    """The handlers of both services, for a gRPC server."""
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        model_management_pb2,
        predict_pb2,
        regression_pb2,
    )

    as_content, check = flags.enable_serialization_as_tensor_content, flags.enable_signature_method_name_check

    def predict(request: Any) -> Any:
        return handlers.predict_proto(handlers.find(manager, request), request, as_content)

    def classify(request: Any) -> Any:
        response = classification_pb2.ClassificationResponse()
        return inference.infer_proto(handlers.find(manager, request), classification, request, response, check)

    def regress(request: Any) -> Any:
        response = regression_pb2.RegressionResponse()
        return inference.infer_proto(handlers.find(manager, request), regression, request, response, check)

    def multi_inference(request: Any) -> Any:
        return inference.multi_inference(manager, request, check)

    methods = {
        "PredictionService": {
            "Predict": _counted("Predict", predict_pb2.PredictRequest, predict, _model_of_spec),
            "Classify": _counted("Classify", classification_pb2.ClassificationRequest, classify, _model_of_spec),
            "Regress": _counted("Regress", regression_pb2.RegressionRequest, regress, _model_of_spec),
            "MultiInference": _counted(
                "MultiInference", inference_pb2.MultiInferenceRequest, multi_inference, _model_of_first_task
            ),
            "GetModelMetadata": _method(
                get_model_metadata_pb2.GetModelMetadataRequest, lambda request: handlers.metadata(manager, request)
            ),
        },
        "ModelService": {
            "GetModelStatus": _method(
                get_model_status_pb2.GetModelStatusRequest, lambda request: handlers.status(manager, request)
            ),
            "HandleReloadConfigRequest": _method(
                model_management_pb2.ReloadConfigRequest, lambda request: _reload(manager, request)
            ),
        },
    }
    return [
        grpc.method_handlers_generic_handler(f"tensorflow.serving.{service}", handlers_by_name)
        for service, handlers_by_name in methods.items()
    ]


def _reload(manager: Manager, request: Any) -> Any:
    from tensorflow_serving.apis import model_management_pb2

    if request.config.WhichOneof("config") != "model_config_list":
        raise invalid(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported"
        )
    manager.reload(from_message(request.config))
    response = model_management_pb2.ReloadConfigResponse()
    response.status.error_code = CODES.index("OK")
    return response


def _model_of_spec(request: Any) -> str:
    return request.model_spec.name


def _model_of_first_task(request: Any) -> str:
    return request.tasks[0].model_spec.name if request.tasks else ""


def _counted(api: str, request_class: Any, answer: Answer, model_of: Callable[[Any], str]) -> grpc.RpcMethodHandler:
    """A method whose requests are counted and timed, by model."""

    def counted(request: Any) -> Any:
        start, model, status = time.perf_counter(), model_of(request), "INTERNAL"
        try:
            response = answer(request)
            status = "OK"
        except ServingError as error:
            status = error.code
            raise
        finally:
            metrics.REQUESTS.add(model, status)
        metrics.REQUEST_LATENCY.observe(model, api, "GRPC", value=(time.perf_counter() - start) * 1e6)
        return response

    return _method(request_class, counted)


def _method(request_class: Any, answer: Answer) -> grpc.RpcMethodHandler:
    from google.protobuf.message import DecodeError

    # Bytes in and out: a request that does not parse is then answered here, like any other bad request.
    def handle(body: bytes, context: grpc.ServicerContext) -> bytes:
        begin(context.time_remaining())
        try:
            try:
                request = request_class.FromString(body)
            except DecodeError as error:
                raise invalid(f"cannot parse the request as {request_class.DESCRIPTOR.full_name}") from error
            return answer(request).SerializeToString()
        except ServingError as error:
            _fail(context, error)
        except Exception as error:  # a fault of this server must reach its log, and the client as what it is
            log.exception("Unexpected error")
            _fail(context, ServingError("INTERNAL", f"{type(error).__name__}: {error}"))
        return b""

    return grpc.unary_unary_rpc_method_handler(handle)


def _fail(context: grpc.ServicerContext, error: ServingError) -> None:
    message = error.message
    context.set_code(grpc.StatusCode[error.code])
    context.set_details(message if len(message) <= MAX_MESSAGE else message[:MAX_MESSAGE] + "...TRUNCATED")
