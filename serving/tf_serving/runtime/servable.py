"""Load one version of a model, and run its signatures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from serving.tf_serving.base.dtypes import Arrays, TensorInfo, dtype_name, tensor_infos
from serving.tf_serving.base.errors import ServingError, invalid
from serving.tf_serving.runtime import saved_model, tflite
from serving.tf_serving.runtime.batching import Batcher
from serving.tf_serving.runtime.pace import Pace
from serving.tf_serving.runtime.queue import Scheduler
from serving.wire.tensor_proto import to_array

DEFAULT_SIGNATURE = "serving_default"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature of a loaded model.

    ``method`` is the API it was made for ("tensorflow/serving/predict", ".../classify", ".../regress").
    ``defaults`` are inputs that a request may omit, ``shapes`` the declared shapes. ``compute`` runs the
    model; a ``batcher`` runs requests together. ``pace`` is the recent average run time.
    """

    name: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    defaults: Mapping[str, np.ndarray]
    shapes: Mapping[str, Any]
    compute: Callable[[Arrays, Sequence[str]], dict[str, np.ndarray]]
    method: str = ""
    batcher: Batcher | None = None
    pace: Pace = field(default_factory=lambda: Pace(time.perf_counter))

    def run(self, arrays: Arrays, wanted: Sequence[str]) -> Arrays:
        """Return the ``wanted`` outputs for an array of each input.

        Raises:
            ServingError: a kernel of the model refuses the input; INVALID_ARGUMENT if the request is at fault.
        """
        self.check_dtypes(arrays)
        return self.run_now(arrays, wanted) if self.batcher is None else self.batcher.run(arrays, wanted)

    def check_dtypes(self, arrays: Arrays) -> None:
        """Check each array's dtype. Raises ServingError: INVALID_ARGUMENT, if it is not its input's dtype."""
        for index, (alias, info) in enumerate(self.inputs.items()):
            given = arrays[alias].dtype
            if given != info.numpy:
                raise invalid(f"Expects arg[{index}] to be {info.dtype} but {_dtype_text(given)} is provided")

    def run_now(self, arrays: Arrays, wanted: Sequence[str]) -> Arrays:
        """Run like :meth:`run`, without batching and without checking dtypes."""
        try:
            return self.compute(arrays, wanted)
        except ServingError as error:
            # Kernels report a wrong shape under several codes. If a shape differs from the declared one, the
            # request is at fault.
            fits = all(self.shapes[alias].is_compatible_with(arrays[alias].shape) for alias in self.inputs)
            if fits or error.code == "INVALID_ARGUMENT":
                raise
            raise invalid(error.message) from error


@dataclass(frozen=True, slots=True)
class Servable:
    """One loaded version. ``metadata`` is a packed SignatureDefMap of all its signatures."""

    name: str
    version: int
    signatures: Mapping[str, Signature]
    metadata: Any
    model: Any

    def signature(self, name: str) -> Signature | None:
        """Return the signature with this name, ``serving_default`` for an empty name; None if it does not exist."""
        return self.signatures.get(name or DEFAULT_SIGNATURE)


def load(
    name: str,
    version: int,
    folder: Path,
    scheduler: Scheduler | None = None,
    prefer_tflite: bool = False,
    parallelism: saved_model.Parallelism = saved_model.ONE_THREAD,
) -> Servable:
    """Load a version from its folder: its SavedModel, or its model.tflite if that exists and is preferred.

    With a ``scheduler``, requests are batched.

    Raises:
        ServingError: NOT_FOUND if the folder has no model, else the error of TensorFlow or LiteRT.
    """
    from google.protobuf import any_pb2
    from tensorflow_serving.apis import get_model_metadata_pb2

    runners: dict[str, Any]
    if prefer_tflite and (folder / tflite.MODEL_FILE).exists():
        model: Any = tflite.Interpreters(folder / tflite.MODEL_FILE, os.cpu_count() or 1, max(1, parallelism.intra_op))
        definitions = tflite.definitions(model)
        runners = {key: tflite.runner(model, key) for key in definitions}
    else:
        definitions = saved_model.definitions(folder)
        model = saved_model.load_session(folder, parallelism)
        runners = {
            key: saved_model.runner(model, definition)
            for key, definition in definitions.items()
            if key not in saved_model.NOT_TO_BE_RUN
        }
    metadata = any_pb2.Any()
    metadata.Pack(get_model_metadata_pb2.SignatureDefMap(signature_def=definitions))
    clock = time.thread_time if parallelism.inter_op < 0 else time.perf_counter
    signatures = {key: _signature(key, definitions[key], run, clock, scheduler) for key, run in runners.items()}
    return Servable(name, version, signatures, metadata, model)


def _signature(
    name: str, definition: Any, compute: Any, clock: Callable[[], float], scheduler: Scheduler | None
) -> Signature:
    import tensorflow as tf

    inputs = tensor_infos(definition.inputs)
    defaults = {
        alias: to_array(proto, inputs[alias].dtype, inputs[alias].numpy)
        for alias, proto in definition.defaults.items()
        if alias in inputs
    }
    shapes = {alias: tf.TensorShape(info.tensor_shape) for alias, info in definition.inputs.items()}
    outputs = tensor_infos(definition.outputs)
    signature = Signature(name, inputs, outputs, defaults, shapes, compute, definition.method_name, pace=Pace(clock))
    if scheduler is None:
        return signature
    names = {alias: info.tensor for alias, info in inputs.items()}
    return replace(signature, batcher=Batcher(scheduler, signature.run_now, names))


def _dtype_text(dtype: np.dtype[Any]) -> str:
    import tensorflow as tf

    return dtype_name(tf.dtypes.as_dtype(dtype).as_datatype_enum)
