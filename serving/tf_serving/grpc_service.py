"""The gRPC face: PredictionService and ModelService of the package tensorflow.serving."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from serving.tf_serving import handlers
from serving.tf_serving.errors import ServingError, invalid
from serving.tf_serving.manager import Manager
from serving.tf_serving.ports import taken

log = logging.getLogger(__name__)

MAX_MESSAGE = 1024
"""Characters of an error's message that travel; the rest is cut (tensorflow/serving, util/status_util)."""

_OPTIONS = [
    ("grpc.so_reuseport", 0),  # a second server on the port must fail, not share it
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]


def grpc_server(manager: Manager, host: str, port: int, threads: int, as_content: bool) -> grpc.Server:
    """A gRPC server that is bound to a port and not yet started; ``as_content`` as in the flags.

    Raises:
        PortTakenError: the port could not be bound.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="grpc")
    server = grpc.server(pool, options=_OPTIONS)
    server.add_generic_rpc_handlers(tuple(_services(manager, as_content)))
    try:
        server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as error:
        raise taken(host, port, "gRPC could not bind it") from error
    return server


def _services(manager: Manager, as_content: bool) -> list[Any]:
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

    def predict(request: Any) -> Any:
        return handlers.predict_proto(handlers.find(manager, request), request, as_content)

    methods = {
        "PredictionService": {
            "Predict": _method(predict_pb2.PredictRequest, predict),
            "GetModelMetadata": _method(
                get_model_metadata_pb2.GetModelMetadataRequest, lambda request: handlers.metadata(manager, request)
            ),
            "Classify": _missing("Classify"),
            "Regress": _missing("Regress"),
            "MultiInference": _missing("MultiInference"),
        },
        "ModelService": {
            "GetModelStatus": _method(
                get_model_status_pb2.GetModelStatusRequest, lambda request: handlers.status(manager, request)
            ),
            "HandleReloadConfigRequest": _missing("HandleReloadConfigRequest"),
        },
    }
    return [
        grpc.method_handlers_generic_handler(f"tensorflow.serving.{service}", handlers_by_name)
        for service, handlers_by_name in methods.items()
    ]


def _method(request_class: Any, answer: Callable[[Any], Any]) -> grpc.RpcMethodHandler:
    from google.protobuf.message import DecodeError

    # Bytes in and out: a request that does not parse is then answered here, like any other bad request.
    def handle(body: bytes, context: grpc.ServicerContext) -> bytes:
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


def _missing(name: str) -> grpc.RpcMethodHandler:
    def handle(_: bytes, context: grpc.ServicerContext) -> bytes:
        _fail(context, ServingError("UNIMPLEMENTED", f"{name} is not implemented by this server"))
        return b""

    return grpc.unary_unary_rpc_method_handler(handle)


def _fail(context: grpc.ServicerContext, error: ServingError) -> None:
    message = error.message
    context.set_code(grpc.StatusCode[error.code])
    context.set_details(message if len(message) <= MAX_MESSAGE else message[:MAX_MESSAGE] + "...TRUNCATED")
