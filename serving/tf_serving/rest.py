"""The REST face: HTTP/1.1 with JSON bodies."""

from __future__ import annotations

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp import web

from serving.tf_serving import handlers
from serving.tf_serving.errors import HTTP_REASON, HTTP_STATUS, ServingError
from serving.tf_serving.manager import Manager
from serving.tf_serving.tensors_to_json import error_body
from serving.tf_serving.urls import Route, VersionError, route

log = logging.getLogger(__name__)

_HEADERS = {"Content-Type": "application/json"}
_NOT_FOUND = b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>"


class RestFace:
    """Answers HTTP requests; predictions run in ``pool``, so that every core takes part."""

    def __init__(self, manager: Manager, pool: ThreadPoolExecutor) -> None:
        self._manager = manager
        self._pool = pool

    def server(self) -> web.Server:
        """aiohttp's server of plain requests: no routing table, since the grammar of URLs is in ``urls.py``."""
        return web.Server(self._answer, request_factory=_unlimited_request, access_log=None)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        try:
            found = route(request.method, request.raw_path)
            if found is None:
                return web.Response(status=404, body=_NOT_FOUND, content_type="text/html")
            if request.method == "GET":
                body = self._describe(found)
            else:
                body = await self._infer(found, await request.read())
        except VersionError:
            return _response(400, b"")
        except ServingError as error:
            return _response(HTTP_STATUS[error.code], error_body(error.message))
        except Exception as error:  # a fault of this server must reach its log, and the client as what it is
            log.exception("Unexpected error")
            return _response(500, error_body(f"{type(error).__name__}: {error}"))
        return _response(200, body)

    async def _infer(self, found: Route, body: bytes) -> bytes:
        if found.method != "predict":
            raise ServingError("UNIMPLEMENTED", f"{found.method} is not implemented by this server; use predict")
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, handlers.predict_json, self._manager, found.model, found.version, found.label, body
        )

    def _describe(self, found: Route) -> bytes:
        from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

        if found.method == "status":
            status = get_model_status_pb2.GetModelStatusRequest()
            _fill_spec(status.model_spec, found, with_label=False)
            return json.dumps(_to_dict(handlers.status(self._manager, status))).encode()
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=[handlers.SIGNATURE_DEF])
        _fill_spec(request.model_spec, found, with_label=True)
        response = handlers.metadata(self._manager, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata[handlers.SIGNATURE_DEF].Unpack(signatures)
        content = {
            "model_spec": _to_dict(response.model_spec),
            "metadata": {handlers.SIGNATURE_DEF: _to_dict(signatures)},
        }
        return json.dumps(content).encode()


def _unlimited_request(
    message: Any, payload: Any, protocol: Any, writer: Any, task: asyncio.Task[None]
) -> web.BaseRequest:
    # 0 is "no limit"; aiohttp's own is 1 MiB, less than a few pictures.
    return web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop(), client_max_size=0)


def _response(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, reason=HTTP_REASON[status], body=body, headers=_HEADERS)


def _fill_spec(spec: Any, found: Route, with_label: bool) -> None:
    spec.name = found.model
    if found.version is not None:
        spec.version.value = found.version
    elif found.label is not None and with_label:
        spec.version_label = found.label


def _to_dict(message: Any) -> Any:
    from google.protobuf import json_format

    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
