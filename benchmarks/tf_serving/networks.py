"""Builds the benchmark's models with TensorFlow: nothing is trained, nothing is downloaded.

``digits`` is the network of mnist_cnn (28x28 -> 10); ``pictures`` is a cheap one over 224x224x3, so that the server
is measured and not the network; ``heavy`` takes 10 ms and more a call, for a small input; and ``wide`` has only dense
layers, whose weights are read from memory once a call, however many rows it has.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Model:
    """A SavedModel's base path, and one input of one row."""

    name: str
    base_path: Path
    shape: tuple[int, ...]

    @property
    def folder(self) -> Path:
        return self.base_path / "1"

    def sample(self, rows: int = 1) -> np.ndarray:
        """Returns float32, uniform in 0..1, the same at every call."""
        return np.random.default_rng(7).random((rows, *self.shape), np.float32)


SHAPES = {"digits": (28, 28), "pictures": (224, 224, 3), "heavy": (32, 32, 3), "wide": (28, 28)}


def build(root: Path) -> dict[str, Model]:
    """Writes the SavedModels under ``root``, each with the input ``x`` and the output ``y``; takes seconds."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(7)
    networks = {
        "digits": [
            layers.Reshape((28, 28, 1)),
            *_block(layers, 16, pool=True),
            *_block(layers, 32, pool=True),
            *_block(layers, 64, pool=False),
            layers.Flatten(),
            layers.Dense(10),
        ],
        "pictures": [layers.AveragePooling2D(32), layers.Flatten(), layers.Dense(10)],
        "heavy": [
            layers.UpSampling2D(2),
            *(layers.Conv2D(64, 3, padding="same", activation="relu") for _ in range(11)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
        ],
        "wide": [
            layers.Flatten(),
            *(layers.Dense(2048, activation="relu") for _ in range(2)),
            layers.Dense(10),
        ],
    }
    models = {}
    for name, stack in networks.items():
        network = keras.Sequential([keras.Input(SHAPES[name], name="x"), *stack])
        model = Model(name, root / name, SHAPES[name])
        spec = tf.TensorSpec((None, *model.shape), tf.float32, name="x")
        archive = keras.export.ExportArchive()
        archive.track(network)
        archive.add_endpoint("serving_default", _call(network), input_signature=[spec])
        archive.write_out(str(model.folder), verbose=False)
        models[name] = model
    return models


def _block(layers: Any, filters: int, pool: bool) -> list[Any]:
    block = [
        layers.Conv2D(filters, 3, padding="same"),
        layers.BatchNormalization(epsilon=1e-3),
        layers.ReLU(),
    ]
    return [*block, layers.MaxPooling2D(2)] if pool else block


def _call(network: Any) -> Any:
    return lambda x: {"y": network(x, training=False)}
