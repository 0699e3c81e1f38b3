"""Maps each error to its HTTP status and its gRPC status. Importing this imports KServe."""

from __future__ import annotations

from http import HTTPStatus

from grpc import StatusCode
from kserve.errors import InferenceError, InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady


class BadModel(Exception):
    """The file is no model that can be served here."""


class RuntimeMissing(BadModel):
    """The runtime that computes such files is not installed here."""


class VersionNotFound(ModelNotFound):
    """The model has no such version."""

    def __init__(self, model: str, version: str, known: str) -> None:
        super().__init__(model)
        self.reason = f"Model {model} has version {known} only. Received: {version}"


class BodyError(Exception):
    """A body that is not read, over REST; ``status`` says why."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class TooManyValues(Exception):
    """A request would be many times as large once it is parsed."""


class Closed(Exception):
    """A method is not open to clients."""


class Unwanted(Exception):
    """The client has left, or its time is up."""


STATUSES: dict[type[Exception], tuple[HTTPStatus, StatusCode]] = {
    InvalidInput: (HTTPStatus.BAD_REQUEST, StatusCode.INVALID_ARGUMENT),
    ModelNotFound: (HTTPStatus.NOT_FOUND, StatusCode.NOT_FOUND),
    ModelNotReady: (HTTPStatus.SERVICE_UNAVAILABLE, StatusCode.UNAVAILABLE),
    ServerNotReady: (HTTPStatus.SERVICE_UNAVAILABLE, StatusCode.UNAVAILABLE),
    TooManyValues: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, StatusCode.RESOURCE_EXHAUSTED),
    Closed: (HTTPStatus.NOT_FOUND, StatusCode.UNIMPLEMENTED),
    Unwanted: (HTTPStatus.REQUEST_TIMEOUT, StatusCode.CANCELLED),
    # The answer cannot be told: FP16 has no form in JSON.
    InferenceError: (HTTPStatus.BAD_REQUEST, StatusCode.INVALID_ARGUMENT),
}
