"""Answer gRPC's health service (grpc.health.v1): SERVING for the server as a whole and for both of its services.

As in tensorflow/serving, it says nothing about models: it is SERVING as soon as the port is open. Watchers are told
when the server stops.
"""

from __future__ import annotations

import asyncio
import time

from serving.http2.grpc_server import GrpcCall, Method

SERVICES = frozenset({"", "ModelService", "PredictionService"})
_SERVING = b"\x08\x01"  # HealthCheckResponse with field 1, status, set to SERVING = 1
_NOT_SERVING = b"\x08\x02"
_SERVICE_UNKNOWN = b"\x08\x03"
_MAX_NAME = 127  # bytes; longer than any known name, and still a length of one byte on the wire


class Health:
    """The health service of one server."""

    def __init__(self) -> None:
        self._watchers: set[GrpcCall] = set()
        self._stops = False

    def methods(self) -> dict[bytes, Method]:
        """Return the methods of grpc.health.v1.Health, by path."""
        return {b"/grpc.health.v1.Health/Check": self._check, b"/grpc.health.v1.Health/Watch": self._watch}

    def stop(self) -> None:
        """Tell all watchers that the server stops, and end their calls."""
        self._stops = True
        for call in list(self._watchers):
            call.send(_NOT_SERVING)
            self._end(call, "UNAVAILABLE", "the server is stopping")

    def _check(self, call: GrpcCall) -> None:
        if _service(call.body) in SERVICES:
            call.answer(_SERVING)
        else:
            call.fail("NOT_FOUND", "unknown service")

    def _watch(self, call: GrpcCall) -> None:
        self._watchers.add(call)
        call.ends = lambda: self._end(call, "UNAVAILABLE", "the connection ends")
        if call.deadline is not None:
            late = (call, "DEADLINE_EXCEEDED", "Deadline Exceeded")
            asyncio.get_running_loop().call_later(call.deadline - time.monotonic(), self._end, *late)
        call.send(_SERVING if _service(call.body) in SERVICES else _SERVICE_UNKNOWN)
        if self._stops:
            call.ends()

    def _end(self, call: GrpcCall, code: str, text: str) -> None:
        if call in self._watchers:
            self._watchers.discard(call)
            call.fail(code, text)


def _service(body: bytes) -> str | None:
    """Read the name in a HealthCheckRequest, whose only field is the string 1; None if the message is invalid."""
    if not body:
        return ""
    if body[0] != 0x0A or len(body) < 2 or body[1] > _MAX_NAME or len(body) != 2 + body[1]:
        return None
    return body[2:].decode("utf-8", "replace")
