"""A model of KServe's server that an ONNX Runtime session computes. Importing this imports KServe."""

from __future__ import annotations

from pathlib import Path
from reprlib import repr as short
from typing import Any

import kserve.model
import numpy as np
from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model
from kserve.errors import InvalidInput
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from prometheus_client import REGISTRY, Histogram

from serving.open_inference.dataplane import VERSION
from serving.open_inference.errors import BadModel
from serving.open_inference.session import open_session
from serving.wire.datatypes import DATATYPES, NUMPY
from serving.wire.open_inference_json import to_array

# ONNX Runtime names its types after C++: "tensor(float)".
_ONNX_TYPES = {f"tensor({name})": datatype for name, datatype in DATATYPES.items()} | {
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
}


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

# What a session raises for a file that it cannot load; they have no ancestor of their own.
_LOAD_ERRORS = (
    runtime_errors.Fail,
    runtime_errors.InvalidArgument,
    runtime_errors.InvalidGraph,
    runtime_errors.InvalidProtobuf,
    runtime_errors.NoModel,
    runtime_errors.NoSuchFile,
    runtime_errors.NotImplemented,
    runtime_errors.RuntimeException,
    OSError,
    ValueError,
)


class OnnxModel(Model):
    """One ``.onnx`` file as one ``version``. A free dimension of a shape is -1, as the protocol has it.

    A prediction runs on the event loop's thread: one at a time, with ``threads`` threads and no more.
    """

    def __init__(self, name: str, path: Path, threads: int, version: str = VERSION) -> None:
        super().__init__(name)
        self.path, self.threads, self.version = path, threads, version
        self.inputs: dict[str, dict[str, Any]] = {}
        self.outputs: dict[str, dict[str, Any]] = {}

    def load(self) -> bool:
        """Load the file. Raises BadModel."""
        try:
            self.session = open_session(self.path, self.threads)
            self.inputs = {node.name: _metadata(node) for node in self.session.get_inputs()}
            self.outputs = {node.name: _metadata(node) for node in self.session.get_outputs()}
        except _LOAD_ERRORS as error:
            reason = " ".join(str(error).split())
            raise BadModel(f"{self.path} cannot be loaded: {reason}") from error
        self.ready = True
        return True

    def unload(self) -> None:
        """Let the session's memory go, until :meth:`load`."""
        self.ready = False
        del self.session

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
        try:
            results = self.session.run(wanted, arrays)
        except InvalidArgument as error:  # inputs that do not fit each other
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


def _metadata(node: Any) -> dict[str, Any]:
    """Name, datatype and shape of a session's input or output."""
    if node.type not in _ONNX_TYPES:
        raise ValueError(f"{node.name!r} has a type that is not served here. Received: {node.type}")
    shape = [size if isinstance(size, int) else -1 for size in node.shape]
    return {"name": node.name, "datatype": _ONNX_TYPES[node.type], "shape": shape}
