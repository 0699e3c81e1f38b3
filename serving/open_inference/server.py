"""KServe's server, bound to one host. Importing this imports KServe.

KServe 0.21 listens on all interfaces: its REST server on 0.0.0.0, its gRPC server on [::], and no
setting says otherwise. Here both take the host that they are given.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Coroutine
from typing import Any

import uvicorn
from kserve import Model, ModelServer
from kserve.logging import KSERVE_LOG_CONFIG, configure_logging

from serving.http2.grpc_server import ServerRules
from serving.http2.server_connection import ServerConnection
from serving.limits import Held
from serving.open_inference.bodies import Bodies, Bounds
from serving.open_inference.connection import TimedConnection
from serving.open_inference.dataplane import Plane, Turns
from serving.open_inference.rest import application
from serving.open_inference.rpc import methods

STOP_GRACE_S = 5
_LOOK_S = 0.02


class HostGrpcServer:
    """The protocol's gRPC service on ``host``."""

    def __init__(self, host: str, server: HostModelServer) -> None:
        self._where = (host, server.grpc_port)
        self._server, self._grace_s = server, server.grace_period
        self._alive: set[ServerConnection] = set()
        self._over = asyncio.Event()

    async def start(self) -> None:
        """Serve until :meth:`stop`."""
        server = self._server
        rules = ServerRules(
            methods(server.dataplane, server.turns),
            server.held,
            max_message=server.bounds.size,
            max_ratio=server.bounds.ratio,
        )
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(lambda: ServerConnection(rules, self._alive), *self._where)
        await self._over.wait()

    async def stop(self, _signal: int | None = None) -> None:
        """Take no more calls, and give those that run the time of grace."""
        self._listening.close()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._grace_s
        while self._alive and loop.time() < deadline:
            for connection in list(self._alive):  # on each pass, because a new one may have been accepted
                connection.drain()
            await asyncio.sleep(_LOOK_S)
        for connection in list(self._alive):
            connection.transport.abort()
        self._over.set()


class HostModelServer(ModelServer):
    """KServe's server with REST and gRPC on ``host``. SIGTERM stops both.

    ``bounds`` are those of requests. ``has_repository``: whoever reaches the server may unload its models.
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
        self.held = Held(self.bounds.together)
        self.turns = Turns()
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
        self.servers = [self.rest(), self._grpc_server.start()]
        self.register_signal_handler()
        await self._serve()

    def rest(self) -> Coroutine[Any, Any, None]:
        """Serves the REST API when it is awaited."""
        config = uvicorn.Config(
            application(self.dataplane, Bodies(self.bounds, self.held), self.turns),
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
