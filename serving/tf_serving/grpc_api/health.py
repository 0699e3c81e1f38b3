"""Answer gRPC's health service (grpc.health.v1): SERVING for the server as a whole and for both of its services.

As in tensorflow/serving, it says nothing about models: it is SERVING as soon as the port is open.
"""

from __future__ import annotations

from serving.http2.grpc_server import GrpcCall, Method

SERVICES = frozenset({"", "ModelService", "PredictionService"})
_SERVING = b"\x08\x01"  # HealthCheckResponse with field 1, status, set to SERVING = 1
_MAX_NAME = 127  # bytes; longer than any known name, and still a length of one byte on the wire


def health_service() -> dict[bytes, Method]:
    """Return the methods of grpc.health.v1.Health, by path."""
    return {b"/grpc.health.v1.Health/Check": _check, b"/grpc.health.v1.Health/Watch": _watch}


def _check(call: GrpcCall) -> None:
    if _service(call.body) in SERVICES:
        call.answer(_SERVING)
    else:
        call.fail("NOT_FOUND", "unknown service")


def _watch(call: GrpcCall) -> None:
    call.fail("UNIMPLEMENTED", "Watch is not supported; use Check")


def _service(body: bytes) -> str | None:
    """Read the name in a HealthCheckRequest, whose only field is the string 1; None if the message is invalid."""
    if not body:
        return ""
    if body[0] != 0x0A or len(body) < 2 or body[1] > _MAX_NAME or len(body) != 2 + body[1]:
        return None
    return body[2:].decode("utf-8", "replace")
