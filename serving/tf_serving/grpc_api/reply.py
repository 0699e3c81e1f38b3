"""End gRPC calls with their answer or status, and count them in the metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from serving.http2.grpc_server import GrpcCall
from serving.tf_serving.base import metrics
from serving.tf_serving.base.errors import ServingError, invalid

log = logging.getLogger(__name__)

MAX_MESSAGE = 1024
"""Largest error message in bytes; the rest is cut (tensorflow/serving, util/status_util)."""

Ended = Callable[[], None]


def ended_with(call: GrpcCall, work: Callable[[], bytes]) -> Ended:
    """Do the work, and return the function that tells the client; the event loop's thread must call it."""
    try:
        body = work()
    except Exception as error:  # noqa: BLE001 - as_status logs all errors but ServingError
        status = as_status(error)
        return lambda: fail(call, status)
    return lambda: call.answer(body)


def as_status(error: Exception) -> ServingError:
    """Return a ServingError itself; log any other error, and turn it into INTERNAL for the client."""
    if isinstance(error, ServingError):
        return error
    log.error("Unexpected error", exc_info=error)
    return ServingError("INTERNAL", f"{type(error).__name__}: {error}")


def fail(call: GrpcCall, error: ServingError) -> None:
    """End a call with a status other than OK."""
    message = error.message.encode("utf-8", "replace")
    if len(message) > MAX_MESSAGE:
        message = message[:MAX_MESSAGE] + b"...TRUNCATED"
    call.fail(error.code, message.decode("utf-8", "ignore"))  # drops a character that was cut in two


def check_is_wanted(call: GrpcCall) -> None:
    """Check before work begins that the client still waits; else raise ServingError, also after its deadline."""
    if call.is_over:
        raise ServingError("CANCELLED", "the client has gone")
    if call.is_late():
        raise ServingError("DEADLINE_EXCEEDED", "the deadline had passed before the call began")


def parsed(request_class: Any, body: bytes) -> Any:
    """Parse the message of a request. Raises ServingError: INVALID_ARGUMENT, it is not of this class."""
    from google.protobuf.message import DecodeError

    try:
        return request_class.FromString(body)
    except DecodeError as error:
        raise invalid(f"cannot parse the request as {request_class.DESCRIPTOR.full_name}") from error


class Count:
    """The counting and timing of one request to a model; ``api`` is the method's name."""

    __slots__ = ("_api", "_model", "_start")

    def __init__(self, api: str, model: str) -> None:
        self._api, self._model, self._start = api, metrics.label(model), time.perf_counter()

    def end(self, status: str) -> None:
        """Record that the request ended with this status code."""
        metrics.REQUESTS.add(self._model, status)
        if status == "OK":
            microseconds = (time.perf_counter() - self._start) * 1e6
            metrics.REQUEST_LATENCY.observe(self._model, self._api, "GRPC", value=microseconds)
