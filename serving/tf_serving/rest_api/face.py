"""The REST API: HTTP/1.1 with JSON bodies."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from serving.limits import Held, half_of_memory
from serving.tf_serving.base import metrics
from serving.tf_serving.base.deadlines import begin, check
from serving.tf_serving.base.errors import HTTP_REASON, HTTP_STATUS, ServingError
from serving.tf_serving.calls import inference
from serving.tf_serving.calls import predict as handlers
from serving.tf_serving.codecs.tensors_to_json import error_body
from serving.tf_serving.rest_api.body import (
    GZIP,
    MIN_COMPRESSED,
    BodyTooLargeError,
    ExpectationError,
    accepts_gzip,
    compressed,
    decompressed,
)
from serving.tf_serving.rest_api.connection import HttpLimits
from serving.tf_serving.rest_api.message import MalformedError, Request, Response, html
from serving.tf_serving.rest_api.server import HttpServer
from serving.tf_serving.rest_api.urls import Route, VersionError, route, target
from serving.tf_serving.versions.manager import Manager

log = logging.getLogger(__name__)

ANSWER_S = 0.1
"""Time added to the time-out, so that a request that timed out in a batch can still report that more exact reason."""
_JSON = "application/json"
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}
_NOT_ALLOWED = ("CONNECT", "TRACE")  # any other method gets an answer, if only "malformed request"


@dataclass(frozen=True, slots=True)
class RestRules:
    """Settings of the REST API. An empty ``metrics_path`` serves no metrics; ``held`` limits all bodies together."""

    timeout_s: float = 30.0
    max_request_bytes: int = 2**31 - 1
    max_gzip_ratio: int = 100
    with_cors: bool = False
    metrics_path: str = ""
    check_method: bool = False
    held: Held = field(default_factory=lambda: Held(half_of_memory()))


class RestFace:
    """Answers HTTP requests; predictions run in ``pool``, to use every core."""

    def __init__(self, manager: Manager, pool: ThreadPoolExecutor, rules: RestRules) -> None:
        self._manager = manager
        self._pool = pool
        self._rules = rules

    def server(self) -> HttpServer:
        """Make the HTTP server. It has no routing table: ``urls.py`` parses the URLs."""
        rules = self._rules
        return HttpServer(self._answer, HttpLimits(rules.timeout_s, rules.max_request_bytes, rules.held))

    async def _answer(self, request: Request) -> Response:
        if request.method in _NOT_ALLOWED:
            return html(HTTPStatus.NOT_IMPLEMENTED)
        path = target(request.target)
        if path is None:
            return html(HTTPStatus.BAD_REQUEST)
        if self._rules.metrics_path and path.partition("?")[0] == self._rules.metrics_path:
            return self._metrics(path)
        try:
            if self._rules.with_cors and request.method == "OPTIONS" and _is_web_origin(request):
                return self._response(request, 200, b"")
            found = route(request.method, path)
            if found is None:
                return html(HTTPStatus.NOT_FOUND)
            if request.method == "GET":
                body = self._describe(found)
            else:
                body = await self._counted(found, request)
        except VersionError:
            return self._response(request, 400, b"")
        except ServingError as error:
            return self._response(request, HTTP_STATUS[error.code], error_body(error.message))
        except BodyTooLargeError:
            return html(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except MalformedError:
            return html(HTTPStatus.BAD_REQUEST)
        except ExpectationError:
            return html(HTTPStatus.EXPECTATION_FAILED)
        except ConnectionError:  # the server is stopping, and the body is incomplete
            return self._response(request, HTTP_STATUS["CANCELLED"], b"")
        except Exception as error:  # a bug must reach the log, and the client as an internal error
            log.exception("Unexpected error")
            return self._response(request, 500, error_body(f"{type(error).__name__}: {error}"))
        return self._response(request, 200, body)

    async def _counted(self, found: Route, request: Request) -> bytes:
        start, status = time.perf_counter(), "INTERNAL"
        try:
            try:
                async with asyncio.timeout(self._rules.timeout_s + ANSWER_S):
                    body = await self._infer(found, request, await self._body(request))
            except TimeoutError as error:
                # The thread ends at its next check: TensorFlow's Python API cannot cancel a single call.
                request.is_gone = True
                raise ServingError("DEADLINE_EXCEEDED", "Timed out waiting for notification") from error
            status = "OK"
        except ServingError as error:
            status = error.code
            raise
        except (BodyTooLargeError, ExpectationError, MalformedError):
            status = "INVALID_ARGUMENT"
            raise
        except (ConnectionError, asyncio.CancelledError):
            status = "CANCELLED"
            raise
        finally:
            metrics.REQUESTS.add(metrics.label(found.model), status)
        microseconds = (time.perf_counter() - start) * 1e6
        metrics.REQUEST_LATENCY.observe(found.model, found.method, "REST", value=microseconds)
        return body

    async def _body(self, request: Request) -> bytes:
        """Read the body of a request; refuse it before it is sent if its head is reason enough."""
        expected = request.header(b"expect")
        if expected and not request.is_too_large:
            if expected.lower() != "100-continue":
                raise ExpectationError
            request.send(b"HTTP/1.1 100 Continue\r\n\r\n")  # RFC 9110, 10.1.1; curl waits for it
        return await request.body()

    async def _infer(self, found: Route, request: Request, body: bytes) -> bytes:
        # A name for the work here would make a circle with its error, and keep the body in memory.
        return await asyncio.wrap_future(self._begin(found, request, body))

    def _begin(self, found: Route, request: Request, body: bytes) -> Future[bytes]:
        work = self._pool.submit(self._infer_now, found, request, body)
        work.add_done_callback(lambda _: request.share.give_back())  # not before: a thread cannot be stopped
        return work

    def _infer_now(self, found: Route, request: Request, body: bytes) -> bytes:
        begin(time.monotonic() + self._rules.timeout_s, lambda: request.is_gone, request.share)
        check()
        if GZIP in request.header(b"content-encoding").lower():
            body = decompressed(body, self._rules.max_request_bytes, self._rules.max_gzip_ratio)
        model = (found.model, found.version, found.label)
        if found.method == "predict":
            return handlers.predict_json(self._manager, *model, body)
        return inference.infer_json(self._manager, found.method, model, body, self._rules.check_method)

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

    def _metrics(self, path: str) -> Response:
        if path == self._rules.metrics_path:
            return Response(200, "OK", metrics.page().encode(), metrics.CONTENT_TYPE)
        text = f"Unexpected path: {path}. Should be {self._rules.metrics_path}"
        return Response(400, HTTP_REASON[400], text.encode(), metrics.CONTENT_TYPE)

    def _response(self, request: Request, status: int, body: bytes) -> Response:
        headers = dict(_CORS) if self._rules.with_cors else {}
        if len(body) >= MIN_COMPRESSED and accepts_gzip(request.header(b"accept-encoding")):
            body = compressed(body)
            headers.update({"Content-Encoding": GZIP, "Vary": "Accept-Encoding"})
        return Response(status, HTTP_REASON[status], body, _JSON, headers)


def _is_web_origin(request: Request) -> bool:
    return request.header(b"origin").lower().startswith(("http://", "https://"))


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
