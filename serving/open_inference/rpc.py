"""The gRPC methods of the Open Inference Protocol. Importing this imports KServe."""

from __future__ import annotations

from typing import Any, NoReturn

from grpc import StatusCode
from grpc_interceptor import AsyncExceptionToStatusInterceptor
from grpc_interceptor.exceptions import GrpcException, Unimplemented
from kserve.logging import logger
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.servicer import InferenceServicer

from serving.open_inference.bodies import check_count
from serving.open_inference.dataplane import Plane
from serving.open_inference.errors import STATUSES


class Statuses(AsyncExceptionToStatusInterceptor):
    """Tells errors by the status of :data:`STATUSES`; KServe's own does not know the text of some of its errors."""

    async def handle_exception(
        self, ex: Exception, request_or_iterator: Any, context: Any, method_name: str
    ) -> NoReturn:
        if not isinstance(ex, GrpcException):
            status = next((status for kind, (_, status) in STATUSES.items() if isinstance(ex, kind)), None)
            if status is None:
                logger.error("%s failed", method_name, exc_info=ex)
            ex = GrpcException(str(ex), status or StatusCode.INTERNAL)
        await super().handle_exception(ex, request_or_iterator, context, method_name)


class Servicer(InferenceServicer):
    """KServe's methods, which ignore the version, and the repository's, which everybody might call."""

    def __init__(self, plane: Plane) -> None:
        super().__init__(plane, None)
        self._plane = plane

    async def ModelReady(self, request: Any, _context: Any) -> Any:  # noqa: N802 - the name in the protocol
        return pb.ModelReadyResponse(ready=self._plane.find(request.name, request.version).ready)

    async def ModelMetadata(self, request: Any, _context: Any) -> Any:  # noqa: N802 - the name in the protocol
        self._plane.find(request.name, request.version)
        return pb.ModelMetadataResponse(**await self._plane.model_metadata(request.name))

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name in the protocol
        self._plane.find(request.model_name, request.model_version)
        contents = (values for tensor in request.inputs for _, values in tensor.contents.ListFields())
        check_count(sum(map(len, contents)))
        return await super().ModelInfer(request, context)

    async def RepositoryModelLoad(self, request: Any, _context: Any) -> Any:  # noqa: N802 - the name in the protocol
        self._check_repository()
        self._plane.load(request.model_name)
        return pb.RepositoryModelLoadResponse(model_name=request.model_name, isLoaded=True)

    async def RepositoryModelUnload(self, request: Any, _context: Any) -> Any:  # noqa: N802 - the name in the protocol
        self._check_repository()
        self._plane.unload(request.model_name)
        return pb.RepositoryModelUnloadResponse(model_name=request.model_name, isUnloaded=True)

    def _check_repository(self) -> None:
        if not self._plane.has_repository:
            raise Unimplemented("the repository API is closed")
