"""KServe's server, bound to one host. Importing this imports KServe.

KServe 0.21 listens on all interfaces: its REST server on 0.0.0.0, its gRPC server on [::], and no
setting says otherwise. Here both take the host that they are given.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from concurrent import futures

import grpc
from kserve import Model, ModelServer
from kserve.errors import InvalidInput
from kserve.logging import KSERVE_LOG_CONFIG, configure_logging, logger
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.server import GRPCServer
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.rest.server import RESTServer

from serving.open_inference.dataplane import BinaryDataPlane
from serving.wire.addresses import host_port

APP = "kserve.model_server:app"
MAX_MESSAGE_BYTES = 64 * 2**20  # a batch of 16 pictures of 224x224 in float32 is 10 MB; KServe's own limit is 8 MB
STOP_GRACE_S = 5


class HostGrpcServer(GRPCServer):
    """KServe's gRPC service on ``host``, without its line of log a request."""

    def __init__(self, host: str, server: HostModelServer) -> None:
        super().__init__(
            server.grpc_port,
            server.dataplane,
            server.model_repository_extension,
            kwargs={},
            grace_period=server.grace_period,
        )
        self.address = host_port(host, server.grpc_port)

    async def start(self, max_workers: int) -> None:
        self._server = grpc.aio.server(
            futures.ThreadPoolExecutor(max_workers),
            interceptors=(ExceptionToStatusInterceptor(),),
            options=(
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.so_reuseport", 0),  # a port in use is an error, not a share of somebody's requests
            ),
        )
        servicer = InferenceServicer(self._data_plane, self._model_repository_extension)
        grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, self._server)
        self._server.add_insecure_port(self.address)
        await self._server.start()
        await self._server.wait_for_termination()


class HostModelServer(ModelServer):
    """KServe's server with REST and gRPC on ``host``. SIGTERM stops both."""

    def __init__(self, host: str, http_port: int, grpc_port: int) -> None:
        configure_logging(_quiet())
        logger.addFilter(_worth_a_line)
        super().__init__(
            http_port=http_port,
            grpc_port=grpc_port,
            workers=1,
            enable_latency_logging=False,
            grace_period=STOP_GRACE_S,
        )
        self.host = host
        self.dataplane = BinaryDataPlane(model_registry=self.registered_models)

    def start(self, models: list[Model]) -> None:
        """Serve until a signal ends it."""
        for model in models:
            self.register_model(model)
        self._rest_server = RESTServer(
            APP, self.dataplane, self.model_repository_extension, self.http_port, grace_period=self.grace_period
        )
        self._rest_server.config.host = self.host
        self._grpc_server = HostGrpcServer(self.host, self)
        self.servers = [self._rest_server.start(), self._grpc_server.start(self.max_threads)]
        self.register_signal_handler()
        asyncio.run(self._serve())


def _quiet() -> dict[str, object]:
    """KServe's settings of logging without access log; errors and warnings stay."""
    config = copy.deepcopy(KSERVE_LOG_CONFIG)
    for name in ("kserve", "kserve.trace", "uvicorn", "uvicorn.error"):
        config["loggers"][name]["level"] = "WARNING"
    config["loggers"]["uvicorn.access"] = {"handlers": [], "propagate": False}
    return config


def _worth_a_line(record: logging.LogRecord) -> bool:
    """What is wrong with a request is in its answer; a stack for each one in the log is for nobody."""
    return not (record.exc_info and isinstance(record.exc_info[1], InvalidInput))
