"""Loads one SavedModel from disk by TensorFlow Hub's library, by Keras's TFSMLayer and by TensorFlow itself."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.base.environments import Environment
from pipelines.claims.experiments.ecosystem import deprecations

ENVIRONMENT = Environment("hub", ("tensorflow-hub==0.16.1", "tf-keras==2.21.0"))


def load_three_ways(folder: str) -> dict[str, Any]:
    """Export a small Keras net and load it again in each way.

    Returns ``ways`` {way: largest difference of an answer, or the error's words}, ``stubs`` that the hub's library
    wanted before it could be imported, and the deprecations met.
    """
    with deprecations(("tensorflow_hub", "tf_keras", "keras", "tensorflow")) as met:
        import keras
        import tensorflow as tf

        net = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(3)])
        place = str(Path(folder, "module"))
        net.export(place, format="tf_saved_model", verbose=False)
        rows = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
        wanted = net.predict(rows, verbose=0)
        hub, stubs = _import_hub()

        def by_tensorflow() -> Any:
            loaded = tf.saved_model.load(place)
            return loaded.serve(tf.constant(rows))

        def by_hub() -> Any:
            loaded = hub.load(place)
            return loaded.serve(tf.constant(rows))

        ways: dict[str, Callable[[], Any]] = {
            "hub.load": by_hub,
            "hub.KerasLayer": lambda: hub.KerasLayer(place, signature="serve", output_key="output_0")(rows),
            "TFSMLayer": lambda: keras.layers.TFSMLayer(place, call_endpoint="serve")(rows),
            "tf.saved_model": by_tensorflow,
        }
        found = {name: _difference(way, wanted) for name, way in ways.items()}
    return {"ways": found, "stubs": stubs, "warnings": met, "setuptools": version("setuptools")}


def _import_hub() -> tuple[Any, list[str]]:
    """Import tensorflow_hub, with an empty module in the place of each that it misses; return it, and their names."""
    stubs: list[str] = []
    while True:
        try:
            return importlib.import_module("tensorflow_hub"), stubs
        except ModuleNotFoundError as error:
            if error.name != "pkg_resources" or error.name in stubs:
                raise
            stubs.append(error.name)
            stub: Any = types.ModuleType(error.name)
            stub.parse_version = lambda text: tuple(int(part) for part in text.split(".")[:2])
            sys.modules[error.name] = stub


def _difference(way: Callable[[], Any], wanted: np.ndarray) -> float | str:
    try:
        answer = way()
    except Exception as error:  # noqa: BLE001 - a way that fails is a result
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    value = next(iter(answer.values())) if isinstance(answer, dict) else answer
    return float(np.abs(np.asarray(value) - wanted).max())
