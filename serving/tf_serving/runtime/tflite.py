"""A version whose folder holds a ``model.tflite``, run by LiteRT (flag --prefer_tflite_model).

As in tensorflow/serving (servables/tensorflow/tflite_session.cc): the signatures are those of the file; a file
without any gets ``serving_default`` with its tensors' own names.
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
    """Interpreters of one model. One computes at a time what one caller asks; there are as many as cores compute.

    They share the file's memory; each has its own for what lies between the layers.
    """

    def __init__(self, file: Path, most: int) -> None:
        """Raises ServingError if LiteRT cannot load the file."""
        self._file = file
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        self._idle.put(self._new())
        for _ in range(most - 1):
            self._idle.put(None)  # made when it is needed

    def use(self, work: Callable[[Any], Any]) -> Any:
        """What ``work`` returns for an interpreter that nobody else uses; waits for one if all are in use."""
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
            interpreter = Interpreter(model_path=str(self._file), num_threads=1)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise invalid(f"cannot load {self._file}: {error}") from error
        return interpreter


def definitions(interpreters: Interpreters) -> dict[str, Any]:
    """The SignatureDefs of a model, by name."""
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
    """What runs a signature: arrays by input, and the outputs that are wanted."""

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
    text = np.dtype(details["dtype"]).kind in "SUO"  # LiteRT says bytes_ for strings
    info.dtype = tf.string.as_datatype_enum if text else tf.dtypes.as_dtype(details["dtype"]).as_datatype_enum
    for size in details["shape_signature"]:
        info.tensor_shape.dim.add(size=int(size))
