"""A model of KServe's server that one of the runtimes computes. Importing this imports KServe."""

from __future__ import annotations

from pathlib import Path
from reprlib import repr as short
from typing import Any

import kserve.model
import numpy as np
from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model
from kserve.errors import InvalidInput
from prometheus_client import REGISTRY, Histogram

from serving.extras import install_command
from serving.open_inference.dataplane import VERSION
from serving.open_inference.errors import BadModel, RuntimeMissing
from serving.open_inference.runtimes import DoesNotFit, Loaded, NotLoadable, Tensor, runtime
from serving.wire.datatypes import DATATYPES, NUMPY
from serving.wire.open_inference_json import to_array

# KServe's own buckets begin at 5 ms, which a small model needs for ten predictions: no percentile would come of them.
_BUCKETS_S = (
    5e-5,
    1e-4,
    2e-4,
    3e-4,
    5e-4,
    7e-4,
    1e-3,
    1.5e-3,
    2e-3,
    3e-3,
    5e-3,
    7e-3,
    0.01,
    0.02,
    0.05,
    0.1,
    0.5,
    1,
    5,
)
REGISTRY.unregister(kserve.model.PREDICT_HIST_TIME)
kserve.model.PREDICT_HIST_TIME = Histogram(
    "request_predict_seconds", "predict request latency", ["model_name"], buckets=_BUCKETS_S
)

MAX_NAME = 30
"""Characters of a client's word that an error sends back."""


class ServedModel(Model):
    """One file as one ``version`` of a model. A free dimension of a shape is -1, as the protocol has it.

    A prediction runs on the event loop's thread: one at a time, with ``threads`` threads and no more.
    """

    def __init__(self, name: str, runtime_name: str, path: Path, threads: int, version: str = VERSION) -> None:
        super().__init__(name)
        self.path, self.threads, self.version = path, threads, version
        self._runtime_name, self._runtime = runtime_name, runtime(runtime_name)
        self.platform = self._runtime.PLATFORM
        self._loaded: Loaded | None = None
        self.inputs: dict[str, dict[str, Any]] = {}
        self.outputs: dict[str, dict[str, Any]] = {}

    def load(self) -> bool:
        """Load the file. Raises BadModel, RuntimeMissing."""
        try:
            self._loaded = self._runtime.load(self.path, self.threads)
        except NotLoadable as error:
            raise BadModel(str(error)) from error
        except ImportError as error:
            needed = " and ".join(self._runtime.DISTRIBUTIONS)
            raise RuntimeMissing(
                f"{self._runtime.TITLE} needs {needed}: {error}. Run: {install_command(self._runtime_name)}"
            ) from error
        self.inputs = {tensor.name: _metadata(tensor) for tensor in self._loaded.inputs}
        self.outputs = {tensor.name: _metadata(tensor) for tensor in self._loaded.outputs}
        self.ready = True
        return True

    def unload(self) -> None:
        """Let the model's memory go, until :meth:`load`."""
        self.ready = False
        self._loaded = None

    def get_input_types(self) -> list[dict[str, Any]]:
        return list(self.inputs.values())

    def get_output_types(self) -> list[dict[str, Any]]:
        return list(self.outputs.values())

    def predict(self, payload: Any, headers: dict[str, str] | None = None) -> InferResponse:  # noqa: ARG002 - KServe's
        """Return the answer to one request. Raises InvalidInput for one that does not fit the model."""
        if not isinstance(payload, InferRequest):
            raise InvalidInput(
                f"this model speaks the Open Inference Protocol, version 2: /v2/models/{self.name}/infer"
            )
        arrays = self._arrays(payload.inputs)
        wanted = [output.name for output in payload.request_outputs or ()] or list(self.outputs)
        unknown = sorted(set(wanted) - set(self.outputs))
        if unknown:
            raise InvalidInput(f"the outputs are {', '.join(self.outputs)}. Received: {', '.join(unknown)}")
        assert self._loaded is not None  # noqa: S101 - a model that is not ready is asked nothing
        try:
            results = self._loaded.run(arrays, wanted)
        except DoesNotFit as error:
            raise InvalidInput(str(error)) from error
        return InferResponse(
            response_id=payload.id or "",  # KServe wants a text, the protocol only what the client gave
            model_name=self.name,
            model_version=self.version,
            infer_outputs=[
                self._output(name, result, raw=payload.from_grpc) for name, result in zip(wanted, results, strict=True)
            ],
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )

    def _output(self, name: str, result: np.ndarray, raw: bool) -> InferOutput:
        output = InferOutput(name, list(result.shape), self.outputs[name]["datatype"], result)
        if raw:  # over gRPC; KServe itself fails on an array that is not raw yet
            output.set_data_from_numpy(result)
        return output

    def _arrays(self, inputs: list[InferInput]) -> dict[str, np.ndarray]:
        names = [tensor.name for tensor in inputs]
        if sorted(names) != sorted(self.inputs):
            raise InvalidInput(
                f"the inputs must be {', '.join(self.inputs)}, each once. Received: {', '.join(names) or 'none'}"
            )
        return {tensor.name: self._array(tensor) for tensor in inputs}

    def _array(self, tensor: InferInput) -> np.ndarray:
        expected = self.inputs[tensor.name]
        shape = list(tensor.shape)
        fits = len(shape) == len(expected["shape"]) and all(
            size > 0 and known in (-1, size) for known, size in zip(expected["shape"], shape, strict=True)
        )
        if tensor.datatype != expected["datatype"] or not fits:
            raise InvalidInput(
                f"input {tensor.name!r} must be {expected['datatype']} of shape {expected['shape']}, -1: 1 or more. "
                f"Received: {tensor.datatype[:MAX_NAME]} of shape {short(shape)}"
            )
        try:
            if tensor._raw_data is None:  # as KServe asks it; no method does
                return to_array(tensor._data, tensor.datatype).reshape(shape)
            array: np.ndarray = tensor.as_numpy()
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidInput(
                f"input {tensor.name!r} has not the data of {NUMPY[tensor.datatype]} of shape {shape}: {error}"
            ) from error
        return array


def _metadata(tensor: Tensor) -> dict[str, Any]:
    """Describe a tensor as the protocol does."""
    return {"name": tensor.name, "datatype": DATATYPES[tensor.dtype], "shape": list(tensor.shape)}
