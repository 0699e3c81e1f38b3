"""Serve PredictionService and ModelService of the package tensorflow.serving over gRPC."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from serving.http2.grpc_server import GrpcCall, Method
from serving.tf_serving.base import deadlines
from serving.tf_serving.base.errors import CODES, ServingError, invalid
from serving.tf_serving.base.workers import Outbox, Workers
from serving.tf_serving.calls import inference
from serving.tf_serving.calls import predict as handlers
from serving.tf_serving.grpc_api.predict import Predict
from serving.tf_serving.grpc_api.reply import Count, check_is_wanted, ended_with, parsed
from serving.tf_serving.settings.flags import Flags
from serving.tf_serving.settings.models import from_message
from serving.tf_serving.versions.manager import Manager

Answer = Callable[[Any], Any]


def services(manager: Manager, flags: Flags, workers: Workers, outbox: Outbox) -> dict[bytes, Method]:
    """Return the methods of both services, by path."""
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        model_management_pb2,
        regression_pb2,
    )

    check = flags.enable_signature_method_name_check

    def classify(request: Any) -> Any:
        response = classification_pb2.ClassificationResponse()
        return inference.infer_proto(
            handlers.find(manager, request), inference.BY_REST_METHOD["classify"], request, response, check
        )

    def regress(request: Any) -> Any:
        response = regression_pb2.RegressionResponse()
        return inference.infer_proto(
            handlers.find(manager, request), inference.BY_REST_METHOD["regress"], request, response, check
        )

    def multi_inference(request: Any) -> Any:
        return inference.multi_inference(manager, request, check)

    answers: dict[str, tuple[Any, Answer]] = {
        "PredictionService/Classify": (
            classification_pb2.ClassificationRequest,
            _counted("Classify", classify, _model_of_spec),
        ),
        "PredictionService/Regress": (
            regression_pb2.RegressionRequest,
            _counted("Regress", regress, _model_of_spec),
        ),
        "PredictionService/MultiInference": (
            inference_pb2.MultiInferenceRequest,
            _counted("MultiInference", multi_inference, _model_of_first_task),
        ),
        "PredictionService/GetModelMetadata": (
            get_model_metadata_pb2.GetModelMetadataRequest,
            lambda request: handlers.metadata(manager, request),
        ),
        "ModelService/GetModelStatus": (
            get_model_status_pb2.GetModelStatusRequest,
            lambda request: handlers.status(manager, request),
        ),
        "ModelService/HandleReloadConfigRequest": (
            model_management_pb2.ReloadConfigRequest,
            lambda request: _reload(manager, request),
        ),
    }
    found: dict[bytes, Method] = {
        _path(name): _method(request_class, answer, workers, outbox)
        for name, (request_class, answer) in answers.items()
    }
    as_content = flags.enable_serialization_as_tensor_content
    found[_path("PredictionService/Predict")] = Predict(manager, as_content, workers, outbox)
    return found


def _path(name: str) -> bytes:
    return f"/tensorflow.serving.{name}".encode()


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
    return str(request.model_spec.name)


def _model_of_first_task(request: Any) -> str:
    return request.tasks[0].model_spec.name if request.tasks else ""


def _counted(api: str, answer: Answer, model_of: Callable[[Any], str]) -> Answer:
    """Wrap a method so that its requests are counted and timed, by model."""

    def counted(request: Any) -> Any:
        count, status = Count(api, model_of(request)), "INTERNAL"
        try:
            response = answer(request)
            status = "OK"
        except ServingError as error:
            status = error.code
            raise
        finally:
            count.end(status)
        return response

    return counted


def _method(request_class: Any, answer: Answer, workers: Workers, outbox: Outbox) -> Method:
    """Make a method that runs in a worker's thread."""

    def work(call: GrpcCall) -> None:
        outbox.post(ended_with(call, lambda: ask(call)))

    def ask(call: GrpcCall) -> bytes:
        check_is_wanted(call)
        deadlines.begin(call.deadline, lambda: call.is_over, call.share)
        body: bytes = answer(parsed(request_class, call.body)).SerializeToString()
        return body

    return lambda call: workers.do(partial(work, call))
