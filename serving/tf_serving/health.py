"""The health service of gRPC (grpc.health.v1): SERVING for the server as a whole and for both of its services.

As in tensorflow/serving it does not know about models: it serves as soon as the port is open.
"""

from __future__ import annotations

from typing import Any

import grpc

SERVICES = frozenset({"", "ModelService", "PredictionService"})
_SERVING = b"\x08\x01"  # HealthCheckResponse with field 1, status, set to SERVING = 1
_MAX_NAME = 127  # bytes; longer than any name that is known, and its length is one byte on the wire


def health_handler() -> Any:
    """A handler of grpc.health.v1.Health, for a gRPC server."""
    methods = {
        "Check": grpc.unary_unary_rpc_method_handler(_check),
        "Watch": grpc.unary_stream_rpc_method_handler(_watch),
    }
    return grpc.method_handlers_generic_handler("grpc.health.v1.Health", methods)


def _check(body: bytes, context: grpc.ServicerContext) -> bytes:
    if _service(body) not in SERVICES:
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return _SERVING


def _watch(_body: bytes, context: grpc.ServicerContext) -> Any:
    # A watcher would hold one of the threads that answer predictions.
    context.abort(grpc.StatusCode.UNIMPLEMENTED, "Watch is not supported; use Check")
    yield b""


def _service(body: bytes) -> str | None:
    """The name in a HealthCheckRequest, whose only field is 1, a string; None if it is no such message."""
    if not body:
        return ""
    if body[0] != 0x0A or len(body) < 2 or body[1] > _MAX_NAME or len(body) != 2 + body[1]:
        return None
    return body[2:].decode("utf-8", "replace")
