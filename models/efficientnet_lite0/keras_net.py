"""Builds the twin: the same network in Keras, layer by layer under the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.efficientnet_lite0.layout import CLASSES, EPSILON, HEAD_CHANNELS, STEM_CHANNELS, blocks

if TYPE_CHECKING:
    import keras


def build() -> keras.Model:
    """Build it with fresh weights: float32 ``image`` (N, 224, 224, 3) in -1..1 -> float32 ``logits`` (N, 1000)."""
    import keras
    from keras import layers

    options: dict[str, Any] = {"padding": "same", "use_bias": False}

    def norm(x: keras.KerasTensor, name: str, relu6: bool = True) -> keras.KerasTensor:
        x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}.norm")(x)
        return layers.ReLU(6.0, name=f"{name}.relu6")(x) if relu6 else x

    image = keras.Input((224, 224, 3), name="image", dtype="float32")
    x = norm(layers.Conv2D(STEM_CHANNELS, 3, 2, name="stem.conv", **options)(image), "stem")
    for index, block in enumerate(blocks()):
        name, before = f"blocks.{index}", x
        if block.expands:
            x = norm(layers.Conv2D(block.inner, 1, name=f"{name}.expand.conv", **options)(x), f"{name}.expand")
        depthwise = layers.DepthwiseConv2D(block.kernel, block.stride, name=f"{name}.depthwise.conv", **options)
        x = norm(depthwise(x), f"{name}.depthwise")
        x = layers.Conv2D(block.out, 1, name=f"{name}.project.conv", **options)(x)
        x = norm(x, f"{name}.project", relu6=False)
        if block.adds_input:
            x = layers.Add(name=f"{name}.add")([before, x])
    x = norm(layers.Conv2D(HEAD_CHANNELS, 1, name="head.conv", **options)(x), "head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(CLASSES, name="classifier")(x)
    return keras.Model({"image": image}, {"logits": logits}, name="efficientnet_lite0")
