"""Define the error of a request or a model: a status code of TensorFlow (and gRPC) and a message."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from serving.http2.grpc_messages import CODES as CODES

HTTP_STATUS = {
    "OK": 200,
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNKNOWN": 500,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""The same HTTP statuses as tensorflow/serving's (model_servers/http_server.cc, ToHTTPStatusCode)."""

HTTP_REASON = {499: "Client Closed Request"} | {
    code: HTTPStatus(code).phrase for code in HTTP_STATUS.values() if code != 499
}

# Text that TensorFlow's Python API adds to a kernel's message: where the node was defined, and the call's name.
_GRAPH_NOISE = re.compile(
    r"^Graph execution error:\s*"
    r"|Detected at node [^\n]*\n(?:<stack traces unavailable>\n|(?:[ \t][^\n]*)?\n)*+"  # and this server's stack
    r"|\s*\[Op:[^\]]*\]\s*$"
)


class ServingError(Exception):
    """A request, or the loading of a model, failed: ``code`` is one of :data:`CODES`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def invalid(message: str) -> ServingError:
    """Make the error for an invalid request."""
    return ServingError("INVALID_ARGUMENT", message)


def from_tensorflow(error: Any) -> ServingError:
    """Turn TensorFlow's ``tf.errors.OpError`` into a ServingError."""
    code = CODES[error.error_code] if error.error_code < len(CODES) else "UNKNOWN"
    return ServingError(code, _GRAPH_NOISE.sub("", error.message))
