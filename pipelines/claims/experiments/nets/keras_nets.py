"""Builds the twins of the measured networks in Keras, under the names that their layers have in PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.claims.experiments.nets.shapes import (
    BLOCKS,
    CLASSES,
    FAMILY,
    HEADS,
    INNER,
    INPUTS,
    NORM_EPSILON,
    NORM_MOMENTUM,
    SIZE,
    STAGES,
    TOKENS,
)

if TYPE_CHECKING:
    import keras


def build(net: str) -> keras.Model:
    """Build a network by name: one input, logits (N, 10); dropout, which is random, is turned off."""
    import keras
    from keras import layers

    if net == "mnist_cnn":
        from models.mnist_cnn.keras_net import build as digit_net

        digits = digit_net()
        digits.get_layer("dropout").rate = 0.0
        return keras.Model(digits.inputs[0], digits.outputs[0], name=net)
    x = seen = keras.Input(INPUTS[net], name="x", dtype="int64" if net == "transformer" else "float32")
    body = _family if net in FAMILY else {"residual_cnn": _residual, "transformer": _transformer}[net]
    return keras.Model(seen, layers.Dense(CLASSES, name="classifier")(body(x, FAMILY.get(net, 0))), name=net)


def _normed(x: Any, filters: int, name: str) -> Any:
    from keras import layers

    x = layers.Conv2D(filters, 3, padding="same", name=f"{name}.conv")(x)
    # PyTorch's momentum is the weight of the new value; Keras' is the weight of the old one.
    return layers.ReLU()(
        layers.BatchNormalization(epsilon=NORM_EPSILON, momentum=1 - NORM_MOMENTUM, name=f"{name}.bn")(x)
    )


def _family(x: Any, width: int) -> Any:
    from keras import layers

    x = layers.MaxPooling2D(2)(_normed(_normed(x, width, "first"), width, "second"))
    return layers.GlobalAveragePooling2D()(_normed(_normed(x, 2 * width, "third"), 2 * width, "fourth"))


def _residual(x: Any, _: int) -> Any:
    from keras import layers

    for number, filters in enumerate(STAGES):
        x = _normed(x, filters, f"stages.{number}.change")
        x = layers.MaxPooling2D(2)(x + _normed(x, filters, f"stages.{number}.inner"))
    return layers.GlobalAveragePooling2D()(x)


def _transformer(ids: Any, _: int) -> Any:
    from keras import layers, ops

    # A layer that is called on a constant is no part of the model: the places are computed from the input.
    places = ops.cumsum(ops.ones_like(ids), axis=1) - 1
    x = layers.Embedding(TOKENS, SIZE, name="words")(ids)
    x = x + layers.Embedding(INPUTS["transformer"][0], SIZE, name="places")(places)
    for number in range(BLOCKS):
        x = _block(x, f"blocks.{number}")
    return layers.GlobalAveragePooling1D()(x)


def _block(x: Any, name: str) -> Any:
    from keras import activations, layers, ops

    def dense(size: int, part: str, x: Any) -> Any:
        return layers.Dense(size, name=f"{name}.{part}")(x)

    def norm(part: str, x: Any) -> Any:
        return layers.LayerNormalization(epsilon=NORM_EPSILON, name=f"{name}.{part}")(x)

    query, key, value = (
        ops.transpose(layers.Reshape((-1, HEADS, SIZE // HEADS))(dense(SIZE, part, x)), (0, 2, 1, 3))
        for part in ("query", "key", "value")
    )
    scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * (SIZE // HEADS) ** -0.5
    seen = layers.Reshape((-1, SIZE))(ops.transpose(ops.matmul(ops.softmax(scores), value), (0, 2, 1, 3)))
    x = norm("attention_norm", x + dense(SIZE, "joined", seen))
    return norm("norm", x + dense(SIZE, "narrow", activations.gelu(dense(INNER, "wide", x), approximate=False)))
