"""Models that Keras makes, as users have them: architectures of its own, recurrent layers, several inputs, texts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

SEED = 11


def application(name: str, size: int = 64) -> Callable[[], Any]:
    """Returns the function that builds a network of ``keras.applications`` with random weights, without softmax."""

    def build() -> Any:
        made = getattr(keras.applications, name)
        return made(weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None)

    return build


def lstm() -> Any:
    return keras.Sequential([keras.Input((12, 6)), layers.LSTM(8), layers.Dense(3)])


def lstm_masked() -> Any:
    return keras.Sequential(
        [keras.Input((12,), dtype="int32"), layers.Embedding(40, 6, mask_zero=True), layers.LSTM(8), layers.Dense(3)]
    )


def bigru() -> Any:
    return keras.Sequential([keras.Input((12, 6)), layers.Bidirectional(layers.GRU(8)), layers.Dense(3)])


def two_inputs_two_outputs() -> Any:
    picture, extra = keras.Input((16, 16, 3), name="picture"), keras.Input((4,), name="extra")
    hidden = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(picture))
    both = layers.Concatenate()([hidden, extra])
    outputs = {"scores": layers.Dense(5)(both), "side": layers.Dense(2)(both)}
    return keras.Model({"picture": picture, "extra": extra}, outputs)


def whole_numbers() -> Any:
    ids = keras.Input((10,), dtype="int32", name="ids")
    return keras.Model(ids, layers.Dense(4)(layers.Flatten()(layers.Embedding(100, 8)(ids))))


def free_size() -> Any:
    return keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(6, 3), layers.GlobalAveragePooling2D()])


def transformer() -> Any:
    tokens = keras.Input((16, 32), name="tokens")
    attended = layers.MultiHeadAttention(4, 8)(tokens, tokens)
    hidden = layers.LayerNormalization()(layers.Add()([tokens, attended]))
    return keras.Model(tokens, layers.Dense(3)(layers.Dense(64, activation="gelu")(hidden)[:, 0]))


def texts() -> Any:
    words = layers.TextVectorization(output_sequence_length=5, vocabulary=["a", "b", "c"])
    return keras.Sequential(
        [keras.Input((), dtype="string", name="text"), words, layers.Embedding(10, 3), layers.GlobalAveragePooling1D()]
    )


MODELS: dict[str, Callable[[], Any]] = {
    "mobilenet_v3_small": application("MobileNetV3Small"),
    "efficientnet_v2_b0": application("EfficientNetV2B0"),
    "resnet50_v2": application("ResNet50V2"),
    "densenet121": application("DenseNet121"),
    "convnext_tiny": application("ConvNeXtTiny"),
    "lstm": lstm,
    "lstm_masked": lstm_masked,
    "bigru": bigru,
    "two_inputs_two_outputs": two_inputs_two_outputs,
    "whole_numbers": whole_numbers,
    "free_size": free_size,
    "transformer": transformer,
    "texts": texts,
}
SAID = {"texts": '[inputs.text]\nvalues = ["a b", "c", "none of them"]\n'}
"""The spec.toml of a model, where the file does not say enough: it is written beside the file."""
AS_SAVED_MODEL = ("mobilenet_v3_small", "lstm", "transformer")
"""Written as a SavedModel, too."""
AS_ONNX = ("mobilenet_v3_small",)
"""Written as ONNX, too."""


def main(folder: Path) -> None:
    for name, build in MODELS.items():
        keras.utils.set_random_seed(SEED)
        model = build()
        rng = np.random.default_rng(SEED)
        # Statistics and biases as training leaves them: zeros and ones would hide what a converter loses.
        for weight in model.weights:
            if weight.path.endswith(("moving_mean", "bias", "beta")):
                weight.assign(rng.normal(0, 0.1, weight.shape))
            elif weight.path.endswith(("moving_variance", "gamma")):
                weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        model.save(folder / f"{name}.keras")
        if name in SAID:
            (folder / f"{name}.toml").write_text(SAID[name])
        if name in AS_SAVED_MODEL:
            model.export(str(folder / f"{name}_saved"), verbose=False)
        if name in AS_ONNX:
            model.export(str(folder / f"{name}.onnx"), format="onnx", verbose=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
