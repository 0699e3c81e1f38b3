"""Run a version's ``model.tflite`` with LiteRT (flag --prefer_tflite_model).

As in tensorflow/serving (servables/tensorflow/tflite_session.cc), the signatures are those of the file; a file
without signatures gets ``serving_default``, with the names of its tensors.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serving.extras import install_command
from serving.tf_serving.base.dtypes import Arrays
from serving.tf_serving.base.errors import ServingError, invalid

MODEL_FILE = "model.tflite"
_DEFAULT = "serving_default"


class Interpreters:
    """A pool of up to ``most`` interpreters of one model; each serves one caller at a time.

    They share the file's memory; each has its own memory for intermediate results.
    """

    def __init__(self, file: Path, most: int, threads: int = 1) -> None:
        """Load the file; each interpreter computes with ``threads`` threads. Raises ServingError if LiteRT cannot."""
        self._file, self._threads = file, threads
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        self._idle.put(self._new())
        for _ in range(most - 1):
            self._idle.put(None)  # created on first use

    def use(self, work: Callable[[Any], Any]) -> Any:
        """Run ``work`` with an interpreter that no other caller uses; waits if all are in use."""
        interpreter = self._idle.get()
        try:
            if interpreter is None:
                interpreter = self._new()
            return work(interpreter)
        finally:
            self._idle.put(interpreter)

    def _new(self) -> Any:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise ServingError("UNIMPLEMENTED", f"LiteRT is not installed. Run: {install_command('litert')}") from error
        try:
            interpreter = Interpreter(model_path=str(self._file), num_threads=self._threads)
            sizes = [size for one in interpreter.get_input_details() for size in one["shape_signature"][1:]]
            if min(sizes, default=1) > 0:  # a free length begins as 1, which may be too short
                interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise invalid(f"cannot load {self._file}: {error}") from error
        return interpreter


def definitions(interpreters: Interpreters) -> dict[str, Any]:
    """Read the SignatureDefs of a model, by name."""
    from tensorflow.core.protobuf import meta_graph_pb2

    def describe(interpreter: Any) -> dict[str, Any]:
        found = {}
        for name in interpreter.get_signature_list():
            runner = interpreter.get_signature_runner(name)
            found[name] = (runner.get_input_details(), runner.get_output_details())
        if not found:
            inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
            found[_DEFAULT] = ({one["name"]: one for one in inputs}, {one["name"]: one for one in outputs})
        return found

    made = {}
    for name, (inputs, outputs) in interpreters.use(describe).items():
        definition = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
        for alias, details in inputs.items():
            _fill(definition.inputs[alias], details)
        for alias, details in outputs.items():
            _fill(definition.outputs[alias], details)
        made[name] = definition
    return made


def runner(interpreters: Interpreters, name: str) -> Callable[[Arrays, Sequence[str]], dict[str, np.ndarray]]:
    """Make the function that runs a signature: it takes arrays by input and the wanted outputs."""

    def run(arrays: Arrays, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        def call(interpreter: Any) -> dict[str, np.ndarray]:
            if name in interpreter.get_signature_list():
                return interpreter.get_signature_runner(name)(**arrays)
            return _run_unsigned(interpreter, arrays)

        try:
            outputs = interpreters.use(call)
        except (ValueError, RuntimeError) as error:
            raise ServingError("INTERNAL", str(error)) from error
        return {alias: np.asarray(outputs[alias]) for alias in wanted}

    return run


def _run_unsigned(interpreter: Any, arrays: Arrays) -> dict[str, np.ndarray]:
    details = interpreter.get_input_details()
    for one in details:
        interpreter.resize_tensor_input(one["index"], arrays[one["name"]].shape)
    interpreter.allocate_tensors()
    for one in details:
        interpreter.set_tensor(one["index"], arrays[one["name"]])
    interpreter.invoke()
    return {one["name"]: interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()}


def _fill(info: Any, details: Mapping[str, Any]) -> None:
    import tensorflow as tf

    info.name = details["name"]
    text = np.dtype(details["dtype"]).kind in "SUO"  # LiteRT reports strings as bytes_
    info.dtype = tf.string.as_datatype_enum if text else tf.dtypes.as_dtype(details["dtype"]).as_datatype_enum
    for size in details["shape_signature"]:
        info.tensor_shape.dim.add(size=int(size))
