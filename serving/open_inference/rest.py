"""The REST API of the Open Inference Protocol, as a Starlette application. Importing this imports KServe.

KServe's own application has more routes than the protocol: its version 1, a description, and the repository API,
open to everybody. Here is one table of all routes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import orjson
from kserve.errors import ModelNotReady, ServerNotReady
from prometheus_client import REGISTRY, exposition
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.open_inference.bodies import Bodies
from serving.open_inference.dataplane import Plane, Turns, read_request
from serving.open_inference.errors import STATUSES, BodyError
from serving.wire.open_inference_binary import CONTENT_TYPE, HEADER


def application(plane: Plane, bodies: Bodies, turns: Turns) -> Starlette:
    """Return the application; the repository API is part of it where ``plane`` has it."""
    api = Api(plane, bodies, turns)
    named = "/v2/models/{model}"
    routes = [
        ("GET", "/", api.alive),
        ("GET", "/metrics", api.metrics),
        ("GET", "/v2", api.server),
        ("GET", "/v2/health/live", api.live),
        ("GET", "/v2/health/ready", api.ready),
        ("GET", "/v2/models", api.models),
    ]
    for model in (named, f"{named}/versions/{{version}}"):
        routes += [
            ("GET", model, api.model),
            ("GET", f"{model}/ready", api.model_ready),
            ("POST", f"{model}/infer", api.infer),
        ]
    if plane.has_repository:
        routes += [
            ("POST", "/v2/repository/index", api.index),
            ("POST", "/v2/repository/models/{model}/load", api.load),
            ("POST", "/v2/repository/models/{model}/unload", api.unload),
        ]
    app = Starlette(
        routes=[Route(path, endpoint, methods=[verb]) for verb, path, endpoint in routes],
        exception_handlers={
            **dict.fromkeys(STATUSES, _known_error),
            BodyError: _body_error,
            HTTPException: _http_error,
            Exception: _unknown_error,
        },
    )
    app.router.redirect_slashes = False  # an error is JSON, a redirect has no body
    return app


class Api:
    """The answers to all requests."""

    def __init__(self, plane: Plane, bodies: Bodies, turns: Turns) -> None:
        self._plane, self._bodies, self._turns = plane, bodies, turns

    async def alive(self, _request: Request) -> Response:
        return _json(await self._plane.live())

    async def live(self, _request: Request) -> Response:
        return _json({"live": True})

    async def metrics(self, request: Request) -> Response:
        encode, content_type = exposition.choose_encoder(request.headers.get("accept", ""))
        return Response(encode(REGISTRY), headers={"content-type": content_type})

    async def server(self, _request: Request) -> Response:
        return _json(self._plane.metadata())

    async def ready(self, _request: Request) -> Response:
        if not await self._plane.ready():
            raise ServerNotReady
        return _json({"ready": True})

    async def models(self, _request: Request) -> Response:
        return _json({"models": list(self._plane.model_registry.get_models())})

    async def model(self, request: Request) -> Response:
        return _json(await self._plane.model_metadata(self._find(request).name))

    async def model_ready(self, request: Request) -> Response:
        model = self._find(request)
        if not model.ready:
            raise ModelNotReady(model.name)
        return _json({"name": model.name, "ready": True})

    async def infer(self, request: Request) -> Response:
        model = self._find(request)

        async def is_wanted() -> bool:
            return not await request.is_disconnected()

        with self._bodies.share() as share, _told_of_the_end():
            body = await self._bodies.read(request, share)
            async with self._turns.turn(is_wanted):
                model = self._find(request)  # again: meanwhile another release may be served
                body = self._bodies.decompressed(request, body, share)
                asked = read_request(body, request.headers.get(HEADER), model.name)
                answer, _ = await self._plane.infer(model.name, asked, dict(request.headers))
                content, length = answer.to_rest()
        if length is None:
            return _json(content)
        return Response(content, media_type=CONTENT_TYPE, headers={HEADER: str(length)})

    async def index(self, _request: Request) -> Response:
        found = self._plane.model_registry.get_models()
        return _json(
            [{"name": name, "state": "READY" if model.ready else "UNAVAILABLE"} for name, model in found.items()]
        )

    async def load(self, request: Request) -> Response:
        name = request.path_params["model"]
        self._plane.load(name)
        return _json({"name": name, "load": True})

    async def unload(self, request: Request) -> Response:
        name = request.path_params["model"]
        self._plane.unload(name)
        return _json({"name": name, "unload": True})

    def _find(self, request: Request) -> Any:
        return self._plane.find(request.path_params["model"], request.path_params.get("version", ""))


@contextmanager
def _told_of_the_end() -> Iterator[None]:
    """Answer a request that the server gives up to stop: uvicorn cancels it, and would answer with plain text."""
    try:
        yield
    except asyncio.CancelledError as error:
        raise BodyError(HTTPStatus.SERVICE_UNAVAILABLE, "the server is stopping") from error


def _json(content: Any, status: int = HTTPStatus.OK, headers: Any = None) -> Response:
    return Response(orjson.dumps(content), status, headers, "application/json")


async def _known_error(_request: Request, error: Exception) -> Response:
    status, _ = next(found for kind, found in STATUSES.items() if isinstance(error, kind))
    return _json({"error": str(error)}, status)


async def _body_error(_request: Request, error: Any) -> Response:
    return _json({"error": str(error)}, error.status)


async def _http_error(_request: Request, error: Any) -> Response:
    """Answer a request to an unknown path, or with a method that it does not have."""
    return _json({"error": error.detail}, error.status_code, error.headers)


async def _unknown_error(_request: Request, error: Exception) -> Response:
    """Answer after a fault of this server; uvicorn writes its traceback into the log."""
    return _json({"error": f"{type(error).__name__}: {error}"}, HTTPStatus.INTERNAL_SERVER_ERROR)
