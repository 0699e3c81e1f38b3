"""Trains the small network in every style, and takes Keras's styles through the paths that take a Keras model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.claims.experiments.behaviour.forms import FAILED, OK, REFUSED, WRONG, right, short
from pipelines.claims.experiments.behaviour.in_tensorflow import nets
from pipelines.claims.experiments.behaviour.styles_data import EPOCHS, data, weights

ROWS = (1, 2, 5)
STYLES: Mapping[str, Callable[[], Any]] = {
    "Sequential": nets.sequential,
    "Functional": nets.functional,
    "subclassed": nets.Subclassed,
}
Answers = Callable[[np.ndarray], Any]


def trained() -> dict[str, Any]:
    """Train every style for EPOCHS and take it out: {"answers": {style: list}, "cells": {style: {path: outcome}}}.

    ``uncalled`` says what an export of a subclassed model gives that was never called.
    """
    made = {style: _trained(build) for style, build in STYLES.items()}
    answers = {style: np.asarray(net(data()[0][:5])).tolist() for style, net in made.items()}
    answers["TensorFlow without Keras"] = _trained_plain()
    cells = {style: {path: _cell(net, make) for path, make in PATHS.items()} for style, net in made.items()}
    return {"answers": answers, "cells": cells, "uncalled": _cell(nets.Subclassed(), PATHS["ONNX"])["outcome"]}


def _trained(build: Callable[[], Any]) -> Any:
    net = build()
    x, y = data()
    net(x[:1])  # a subclassed model has its weights after its first call
    net.set_weights(weights())
    nets.fit(net, x, y, EPOCHS)
    return net


def _trained_plain() -> Any:
    net = nets.PlainNet()
    x, y = data()
    for layer, (kernel, bias) in zip((net.first, net.second, net.last), _pairs(weights()), strict=True):
        layer.kernel.assign(kernel)
        layer.bias.assign(bias)
    nets.plain_loop(net, x, y, EPOCHS)
    return net(tf.constant(x[:5])).numpy().tolist()


def _pairs(arrays: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def _reloaded(net: Any, folder: Path) -> Answers:
    file = folder / "net.keras"
    net.save(file)
    loaded = keras.models.load_model(file, custom_objects={"Subclassed": nets.Subclassed})
    return lambda x: loaded(x)


def _saved_model(net: Any, folder: Path) -> Answers:
    net.export(str(folder / "saved"), format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(str(folder / "saved"))
    return lambda x: loaded.serve(tf.constant(x))


def _tflite(net: Any, folder: Path) -> Answers:
    from ai_edge_litert.interpreter import Interpreter

    net.export(str(folder / "saved"), format="tf_saved_model", verbose=False)
    content = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved")).convert()
    runner = Interpreter(model_content=content, num_threads=1).get_signature_runner("serving_default")
    (name,) = runner.get_input_details()
    return lambda x: next(iter(runner(**{name: x}).values()))


def _onnx(net: Any, folder: Path) -> Answers:
    import onnxruntime

    net.export(str(folder / "net.onnx"), format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(str(folder / "net.onnx"), providers=["CPUExecutionProvider"])
    (name,) = (one.name for one in session.get_inputs())
    return lambda x: session.run(None, {name: x})[0]


PATHS: Mapping[str, Callable[[Any, Path], Answers]] = {
    "saved and loaded (.keras)": _reloaded,
    "SavedModel": _saved_model,
    "TFLite": _tflite,
    "ONNX": _onnx,
}


def _cell(net: Any, make: Callable[[Any, Path], Answers]) -> dict[str, str]:
    """Take a model through a path, and compare its answers for several numbers of rows with the model's own."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            call = make(net, Path(scratch))
        except Exception as error:  # noqa: BLE001 - that a path refuses is its outcome
            return {"outcome": REFUSED, "why": short(error)}
        for rows in ROWS:
            x = data()[0][:rows]
            try:
                found = call(x)
            except Exception as error:  # noqa: BLE001 - that it fails is its outcome
                return {"outcome": FAILED, "why": f"{rows} rows: {short(error)}"}
            if not right(found, np.asarray(net(x))):
                return {"outcome": WRONG, "why": f"{rows} rows"}
    return {"outcome": OK, "why": ""}
