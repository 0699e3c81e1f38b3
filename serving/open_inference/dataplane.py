"""Models by name and version, and the requests to them. Importing this imports KServe.

KServe 0.21 turns each binary tensor into a list of Python numbers, and that into an array again: 33 ms of CPU for a
picture of 224x224x3, more than JSON costs, where 0.02 ms do. Its answer to lengths that do not fit is an internal
error, or none: what follows the tensors is not looked at. Here the bytes stay bytes, as they do over gRPC, and a
body that does not fit is refused. It knows no versions, is ready without a model, and loads by itself, for the next
request, a model that was unloaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from reprlib import repr as short
from typing import Any

from kserve import InferInput, InferRequest, ModelRepository
from kserve.errors import InvalidInput, ModelNotReady
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.infer_type import RequestedOutput

from serving.open_inference.bodies import check_values
from serving.open_inference.errors import BadModel, Unwanted, VersionNotFound
from serving.wire.open_inference_binary import HEADER, split

VERSION = "1"
"""The version of a model that is no release: one file is served."""


class Plane(DataPlane):
    """KServe's data plane, with versions, and with the repository API only where ``has_repository``."""

    def __init__(self, models: ModelRepository, has_repository: bool) -> None:
        super().__init__(models)
        self.has_repository = has_repository

    def metadata(self) -> dict[str, Any]:
        extensions = ["binary_tensor_data", *(["model_repository"] if self.has_repository else [])]
        return {**super().metadata(), "extensions": extensions}

    async def ready(self) -> bool:
        """Tell if there are models, and all of them can predict."""
        models = self.model_registry.get_models().values()
        return bool(models) and all(model.ready for model in models)

    async def model_metadata(self, model_name: str) -> dict[str, Any]:
        model = self.find(model_name, "")
        return {
            **await super().model_metadata(model_name),
            "versions": [model.version],
            "platform": model.platform,
        }

    def find(self, name: str, version: str) -> Any:
        """Return the model; any version if ``version`` is empty. Raises ModelNotFound."""
        model = self.get_model_from_registry(name)
        if version not in ("", model.version):
            raise VersionNotFound(name, version[:30], model.version)
        return model

    async def get_model(self, name: str) -> Any:
        """Return the model to predict with. Raises ModelNotFound or ModelNotReady."""
        model = self.get_model_from_registry(name)
        if not model.ready:
            raise ModelNotReady(name)
        return model

    def load(self, name: str) -> None:
        """Load the model's file again. Raises ModelNotFound, or ModelNotReady with the reason."""
        try:
            self.get_model_from_registry(name).load()
        except BadModel as error:
            raise ModelNotReady(name, str(error)) from error

    def unload(self, name: str) -> None:
        """Let the model's memory go, until it is loaded again. Raises ModelNotFound."""
        self.get_model_from_registry(name).unload()


class Turns:
    """One turn at a time, in the order of asking, for requests that compute.

    A prediction occupies the event loop. Without turns, all requests that have arrived would run before the loop hears
    of the clients that have left meanwhile.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, is_wanted: Callable[[], Awaitable[bool]]) -> AsyncIterator[None]:
        """Wait for a turn, and take it. Raises Unwanted if nobody waits for the answer by then."""
        async with self._lock:
            await asyncio.sleep(0)  # the loop hears of clients that have left
            if not await is_wanted():
                raise Unwanted("nobody waits for the answer")
            yield


def read_request(body: bytes, length: str | None, model_name: str) -> InferRequest:
    """Return the request whose JSON is ``length`` bytes long, or, without a length, the whole body.

    Raises:
        InvalidInput: the body is no request.
        TooManyValues: it is too large.
    """
    if length is not None and not (length.isascii() and length.isdigit()):
        raise InvalidInput(f"the header {HEADER} must be the length of the JSON. Received: {short(length)}")
    size = len(body) if length is None else int(length[:20])
    check_values(body[:size])
    try:
        document, parts = split(body, size, "inputs")
    except ValueError as error:
        raise InvalidInput(str(error)) from error
    inputs = [_input(tensor, part) for tensor, part in zip(document["inputs"], parts, strict=True)]
    parameters = document.get("parameters") or {}
    wanted = document.get("outputs") or []
    if not isinstance(parameters, dict) or not _are_named(wanted) or not isinstance(document.get("id", ""), str):
        raise InvalidInput("'parameters' must be an object, 'outputs' a list of objects with a name, 'id' a text")
    # The request's own choice holds for an output that does not say.
    default = {"binary_data": parameters.get("binary_data_output", False)}
    return InferRequest(
        model_name=model_name,
        request_id=document.get("id"),
        parameters=parameters,
        infer_inputs=inputs,
        request_outputs=[RequestedOutput(one["name"], default | (one.get("parameters") or {})) for one in wanted]
        or None,
    )


def _are_named(wanted: Any) -> bool:
    return isinstance(wanted, list) and all(
        isinstance(one, dict)
        and isinstance(one.get("name"), str)
        and isinstance(one.get("parameters"), dict | type(None))
        for one in wanted
    )


def _input(tensor: dict[str, Any], part: bytes | None) -> InferInput:
    name, datatype, shape = (tensor.get(key) for key in ("name", "datatype", "shape"))
    is_shape = isinstance(shape, list) and all(type(size) is int for size in shape)
    if not isinstance(name, str) or not isinstance(datatype, str) or not is_shape:
        raise InvalidInput(
            "an input must have a name, a datatype and a shape of whole numbers. "
            f"Received: {short(name)}, {short(datatype)}, {short(shape)}"
        )
    if part is None and not isinstance(tensor.get("data"), list):
        raise InvalidInput(f"input {short(name)} must have the parameter binary_data_size, or a list of data")
    found = InferInput(name, shape, datatype, tensor.get("data"), tensor.get("parameters"))
    found._raw_data = part  # as KServe sets it for gRPC: no method does
    return found
