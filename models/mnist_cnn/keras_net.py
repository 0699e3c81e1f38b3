"""Builds the twin: the same network in Keras, layer by layer under the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def build() -> keras.Model:
    """Build it with fresh weights: float32 ``image`` (N, 28, 28) in 0..1 -> float32 ``logits`` (N, 10)."""
    import keras
    from keras import layers

    image = keras.Input((28, 28), name="image", dtype="float32")
    x = layers.Reshape((28, 28, 1), name="channel")(image)
    for index, (filters, pool) in enumerate(((16, True), (32, True), (64, False)), start=1):
        x = layers.Conv2D(filters, 3, padding="same", name=f"conv{index}")(x)
        # PyTorch's momentum of 0.1 is the weight of the new value; Keras' is the weight of the old one.
        x = layers.BatchNormalization(epsilon=1e-3, momentum=0.9, name=f"bn{index}")(x)
        x = layers.ReLU(name=f"relu{index}")(x)
        if pool:
            x = layers.MaxPooling2D(2, name=f"pool{index}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(0.3, name="dropout")(x)
    logits = layers.Dense(10, name="classifier")(x)
    return keras.Model({"image": image}, {"logits": logits}, name="mnist_cnn")
