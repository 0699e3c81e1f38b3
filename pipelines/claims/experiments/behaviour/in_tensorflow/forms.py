"""The forms of control flow in TensorFlow, as a plain module and as a Keras model, and their paths."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from pipelines.claims.experiments.behaviour.forms import EXPERTS, FORMS, LIMIT, WEIGHT, cell

SIGNATURE = tf.TensorSpec((None, 3), tf.float32, name="x")
Body = Callable[[Any, Any], Any]
"""A form: (weight, x) -> answer. TensorFlow's AutoGraph reads its source, so each is a plain function."""


def _if(weight: Any, x: Any) -> Any:
    y = x * weight
    if tf.reduce_sum(y) > 0:
        return y * 2
    return y - 1


def _while(weight: Any, x: Any) -> Any:
    y = x * weight
    while tf.reduce_sum(y) < 50.0:
        y = y * 2
    return y


def _range(weight: Any, x: Any) -> Any:
    y = x * weight
    for _ in range(int(x[0, 0])):
        y = y * 2
    return y


def _break(weight: Any, x: Any) -> Any:
    y = x * weight
    for _ in tf.range(6):
        if tf.reduce_sum(y) > 50.0:
            break
        y = y * 2
    return y


def _shape_if(weight: Any, x: Any) -> Any:
    y = x * weight
    if tf.shape(x)[0] > 2:
        return y * 2
    return y - 1


def _shape_range(weight: Any, x: Any) -> Any:
    y = tf.zeros_like(x[0])
    for row in range(tf.shape(x)[0]):
        y = y * 0.5 + x[row] * weight
    return y


def _list_index(weight: Any, x: Any) -> Any:
    experts = [lambda x, by=by: x * weight * by for by in EXPERTS]
    return experts[int(x[0, 0])](x)


def _cond(weight: Any, x: Any) -> Any:
    y = x * weight
    return tf.cond(tf.reduce_sum(y) > 0, lambda: y * 2, lambda: y - 1)


def _while_loop(weight: Any, x: Any) -> Any:
    return tf.while_loop(lambda y: tf.reduce_sum(y) < LIMIT, lambda y: (y * 2,), (x * weight,))[0]


def _where(weight: Any, x: Any) -> Any:
    y = x * weight
    return tf.where(y > 0, y * 2, y - 1)


def _keras_shape_if(weight: Any, x: Any) -> Any:
    y = x * weight
    if ops.shape(x)[0] > 2:
        return y * 2
    return y - 1


def _keras_shape_range(weight: Any, x: Any) -> Any:
    y = ops.zeros_like(x[0])
    for row in range(ops.shape(x)[0]):
        y = y * 0.5 + x[row] * weight
    return y


def _keras_cond(weight: Any, x: Any) -> Any:
    y = x * weight
    return ops.cond(ops.sum(y) > 0, lambda: y * 2, lambda: y - 1)


def _keras_while_loop(weight: Any, x: Any) -> Any:
    return ops.while_loop(lambda y: ops.sum(y) < LIMIT, lambda y: (y * 2,), (x * weight,))[0]


def _keras_where(weight: Any, x: Any) -> Any:
    y = x * weight
    return ops.where(y > 0, y * 2, y - 1)


BODIES: dict[str, Body] = {
    **{"if": _if, "while": _while, "range": _range, "break": _break, "shape-if": _shape_if},
    **{"shape-range": _shape_range, "list-index": _list_index},
    **{"cond": _cond, "while_loop": _while_loop, "where": _where},
}
KERAS_BODIES: dict[str, Body] = {
    **BODIES,
    **{"shape-if": _keras_shape_if, "shape-range": _keras_shape_range},
    **{"cond": _keras_cond, "while_loop": _keras_while_loop, "where": _keras_where},
}
"""In a Keras model: Python's statements as they are, operators from ``keras.ops``."""


class PlainModule(tf.Module):
    """A module with a variable; ``answer`` is the form as it is, ``compiled`` the same under tf.function."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.weight = tf.Variable(WEIGHT, trainable=False)
        self.answer = lambda x: body(self.weight, x)
        self.compiled = tf.function(lambda x: body(self.weight, x), input_signature=[SIGNATURE])


class KerasForm(keras.Model):
    """A subclassed Keras model of a form."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.scale = self.add_weight(shape=(), initializer=keras.initializers.Constant(WEIGHT), trainable=False)
        self.body = body

    def call(self, x: Any) -> Any:
        return self.body(self.scale, x)


Call = Callable[[np.ndarray], Any]
Make = Callable[[Body, str, np.ndarray], Call]
"""A path: (form, folder of its own, example) -> the call of the result."""


def _saved(body: Body, folder: str) -> None:
    module = PlainModule(body)
    tf.saved_model.save(module, folder, signatures=module.compiled.get_concrete_function())


def _eager(body: Body, folder: str, example: np.ndarray) -> Call:  # noqa: ARG001
    module = PlainModule(body)
    return lambda x: module.answer(tf.constant(x))


def _function(body: Body, folder: str, example: np.ndarray) -> Call:  # noqa: ARG001
    module = PlainModule(body)
    module.compiled.get_concrete_function()
    return lambda x: module.compiled(tf.constant(x))


def _saved_model(body: Body, folder: str, example: np.ndarray) -> Call:  # noqa: ARG001
    _saved(body, folder)
    return _of_saved_model(folder)


def _tflite(body: Body, folder: str, example: np.ndarray) -> Call:  # noqa: ARG001
    _saved(body, folder)
    return _of_tflite(folder)


def _onnx(body: Body, folder: str, example: np.ndarray) -> Call:  # noqa: ARG001
    import onnxruntime
    import tf2onnx

    module = PlainModule(body)
    proto, _ = tf2onnx.convert.from_function(module.compiled, [SIGNATURE], opset=18)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (name,) = (one.name for one in session.get_inputs())
    return lambda x: session.run(None, {name: x})[0]


def _keras_model(body: Body) -> KerasForm:
    model = KerasForm(body)
    model.compile(jit_compile=False)
    return model


def _keras_call(body: Body, folder: str, example: np.ndarray) -> Call:  # noqa: ARG001
    model = _keras_model(body)
    return lambda x: model(tf.constant(x))


def _keras_predict(body: Body, folder: str, example: np.ndarray) -> Call:  # noqa: ARG001
    model = _keras_model(body)
    return lambda x: model.predict(x, batch_size=len(x), verbose=0)


def _keras_saved_model(body: Body, folder: str, example: np.ndarray) -> Call:
    model = _keras_model(body)
    model(example)
    model.export(folder, verbose=False, input_signature=[keras.InputSpec(shape=(None, 3), dtype="float32", name="x")])
    return _of_saved_model(folder)


def _of_saved_model(folder: str) -> Call:
    loaded = tf.saved_model.load(folder)  # kept: without it, the signature loses its variables
    call = loaded.signatures["serving_default"]

    def answer(x: np.ndarray, loaded: Any = loaded) -> Any:  # noqa: ARG001
        (found,) = call(**{name: tf.constant(x) for name in call.structured_input_signature[1]}).values()
        return found

    return answer


def _of_tflite(folder: str) -> Call:
    from ai_edge_litert.interpreter import Interpreter

    content = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    interpreter = Interpreter(model_content=content, num_threads=1)
    runner = interpreter.get_signature_runner("serving_default")
    (name,) = runner.get_input_details()
    return lambda x: next(iter(runner(**{name: x}).values()))


PATHS: dict[str, tuple[dict[str, Body], Make]] = {
    "eager": (BODIES, _eager),
    "tf.function": (BODIES, _function),
    "SavedModel": (BODIES, _saved_model),
    "TFLite": (BODIES, _tflite),
    "ONNX (tf2onnx)": (BODIES, _onnx),
    "Keras call": (KERAS_BODIES, _keras_call),
    "Keras predict": (KERAS_BODIES, _keras_predict),
    "Keras export": (KERAS_BODIES, _keras_saved_model),
}


def grid(names: Sequence[str]) -> dict[str, Any]:
    """Take forms through every path: {"cells": {form: {path: {"outcome", "why", "warned"}}}}."""
    return {"cells": {name: {path: _cell(name, path) for path in PATHS} for name in names}}


def _cell(name: str, path: str) -> dict[str, str]:
    bodies, make = PATHS[path]
    with tempfile.TemporaryDirectory() as folder:
        form = FORMS[name]
        return cell(form, lambda: make(bodies[name], str(Path(folder, "saved")), form.inputs()[0]))
