"""KServe's server, bound to one host. Importing this imports KServe.

KServe 0.21 listens on all interfaces: its REST server on 0.0.0.0, its gRPC server on [::], and no
setting says otherwise. Here both take the host that they are given.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Coroutine
from concurrent import futures
from typing import Any

import grpc
import uvicorn
from kserve import Model, ModelServer
from kserve.logging import KSERVE_LOG_CONFIG, configure_logging
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from kserve.protocol.grpc.server import GRPCServer

from serving.open_inference.bodies import Bounds
from serving.open_inference.connection import TimedConnection
from serving.open_inference.dataplane import Plane
from serving.open_inference.rest import application
from serving.open_inference.rpc import Servicer, Statuses
from serving.wire.addresses import host_port

MAX_MESSAGE_BYTES = 64 * 2**20  # a batch of 16 pictures of 224x224 in float32 is 10 MB; KServe's own limit is 8 MB
STOP_GRACE_S = 5


class HostGrpcServer(GRPCServer):
    """KServe's gRPC service on ``host``, without its line of log a request."""

    def __init__(self, host: str, server: HostModelServer) -> None:
        super().__init__(server.grpc_port, server.dataplane, None, kwargs={}, grace_period=server.grace_period)
        self.address = host_port(host, server.grpc_port)

    async def start(self, max_workers: int) -> None:
        self._server = grpc.aio.server(
            futures.ThreadPoolExecutor(max_workers),
            interceptors=(Statuses(),),
            options=(
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.so_reuseport", 0),  # a port in use is an error, not a share of somebody's requests
            ),
        )
        servicer = Servicer(self._data_plane)
        grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, self._server)
        self._server.add_insecure_port(self.address)
        await self._server.start()
        await self._server.wait_for_termination()


class HostModelServer(ModelServer):
    """KServe's server with REST and gRPC on ``host``. SIGTERM stops both.

    ``bounds`` are those of REST bodies. ``has_repository``: whoever reaches the server may unload its models.
    """

    def __init__(
        self, host: str, http_port: int, grpc_port: int, bounds: Bounds | None = None, has_repository: bool = False
    ) -> None:
        configure_logging(_quiet())
        super().__init__(
            http_port=http_port,
            grpc_port=grpc_port,
            workers=1,
            enable_latency_logging=False,
            grace_period=STOP_GRACE_S,
        )
        self.host, self.bounds = host, bounds or Bounds()
        self.dataplane = Plane(self.registered_models, has_repository)

    def start(self, models: list[Model], then: Callable[[], None] = lambda: None) -> None:
        """Serve until a signal ends it; ``then`` is called once, when :meth:`replace` may be."""
        for model in models:
            self.register_model(model)
        asyncio.run(self._run(then))

    def replace(self, model: Model) -> None:
        """Serve ``model``, which is loaded, from now on instead of the one that has its name. For other threads."""
        self._loop.call_soon_threadsafe(self.registered_models.update, model)

    async def _run(self, then: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        then()
        self._grpc_server = HostGrpcServer(self.host, self)
        self.servers = [self.rest(), self._grpc_server.start(self.max_threads)]
        self.register_signal_handler()
        await self._serve()

    def rest(self) -> Coroutine[Any, Any, None]:
        """Serves the REST API when it is awaited."""
        config = uvicorn.Config(
            application(self.dataplane, self.bounds),
            self.host,
            self.http_port,
            http=TimedConnection,
            ws="none",
            lifespan="off",
            log_config=None,  # KServe has configured it
            timeout_keep_alive=self.timeout_keep_alive,
            timeout_graceful_shutdown=self.grace_period,
        )
        return uvicorn.Server(config).serve()


def _quiet() -> dict[str, object]:
    """KServe's settings of logging without access log; errors and warnings stay."""
    config = copy.deepcopy(KSERVE_LOG_CONFIG)
    for name in ("kserve", "kserve.trace", "uvicorn", "uvicorn.error"):
        config["loggers"][name]["level"] = "WARNING"
    config["loggers"]["uvicorn.access"] = {"handlers": [], "propagate": False}
    return config
