"""The gRPC methods of the Open Inference Protocol, on this project's HTTP/2. Importing this imports KServe.

gRPC's own library bounds each message, and not all of them together; what it has received of a message that is
not whole cannot be counted from Python.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.message import DecodeError
from kserve import InferRequest
from kserve.logging import logger
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.servicer import InferenceServicer

from serving.http2.grpc_server import GrpcCall, Method
from serving.open_inference.bodies import check_count
from serving.open_inference.dataplane import Plane, Turns
from serving.open_inference.errors import STATUSES, Closed

MAX_TEXT = 1024
"""Characters of an error that are sent."""


def methods(plane: Plane, turns: Turns) -> dict[bytes, Method]:
    """Return the methods by path; requests that compute take ``turns``."""
    servicer = Servicer(plane, turns)
    service = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    return {
        f"/{service.full_name}/{method.name}".encode(): _method(
            getattr(pb, method.input_type.name), getattr(servicer, method.name)
        )
        for method in service.methods
    }


def _method(request_class: Any, answer: Callable[[Any, GrpcCall], Awaitable[Any]]) -> Method:
    tasks: set[asyncio.Task[None]] = set()  # the loop itself holds them weakly

    async def run(call: GrpcCall) -> None:
        try:
            request = request_class.FromString(call.body)
            call.body = b""
            content = (await answer(request, call)).SerializeToString()
        except DecodeError:
            call.fail("INTERNAL", f"the message is no {request_class.DESCRIPTOR.full_name}")
        except Exception as error:  # noqa: BLE001 - a client is told of every error
            status = next((status for kind, (_, status) in STATUSES.items() if isinstance(error, kind)), None)
            if status is None:
                logger.error("%s failed", request_class.DESCRIPTOR.full_name, exc_info=error)
            call.fail(status.name if status else "INTERNAL", str(error)[:MAX_TEXT])
        else:
            call.answer(content)

    def begin(call: GrpcCall) -> None:
        task = asyncio.get_running_loop().create_task(run(call))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    return begin


class Servicer(InferenceServicer):
    """KServe's methods, which ignore the version, and the repository's, which everybody might call."""

    def __init__(self, plane: Plane, turns: Turns) -> None:
        super().__init__(plane, None)
        self._plane, self._turns = plane, turns

    async def ModelReady(self, request: Any, _call: Any) -> Any:  # noqa: N802 - the name in the protocol
        return pb.ModelReadyResponse(ready=self._plane.find(request.name, request.version).ready)

    async def ModelMetadata(self, request: Any, _call: Any) -> Any:  # noqa: N802 - the name in the protocol
        self._plane.find(request.name, request.version)
        return pb.ModelMetadataResponse(**await self._plane.model_metadata(request.name))

    async def ModelInfer(self, request: Any, call: GrpcCall) -> Any:  # noqa: N802 - the name in the protocol
        self._plane.find(request.model_name, request.model_version)
        contents = (values for tensor in request.inputs for _, values in tensor.contents.ListFields())
        check_count(sum(map(len, contents)))
        self.validate_grpc_request(request)

        async def is_wanted() -> bool:
            return not (call.is_over or call.is_late())

        async with self._turns.turn(is_wanted):
            answer, _ = await self._plane.infer(request.model_name, InferRequest.from_grpc(request), {})
            return answer.to_grpc()

    async def RepositoryModelLoad(self, request: Any, _call: Any) -> Any:  # noqa: N802 - the name in the protocol
        self._check_repository()
        self._plane.load(request.model_name)
        return pb.RepositoryModelLoadResponse(model_name=request.model_name, isLoaded=True)

    async def RepositoryModelUnload(self, request: Any, _call: Any) -> Any:  # noqa: N802 - the name in the protocol
        self._check_repository()
        self._plane.unload(request.model_name)
        return pb.RepositoryModelUnloadResponse(model_name=request.model_name, isUnloaded=True)

    def _check_repository(self) -> None:
        if not self._plane.has_repository:
            raise Closed("the repository API is closed")
