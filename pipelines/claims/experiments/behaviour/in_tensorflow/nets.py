"""One small network in every style of Keras, and in TensorFlow without it: each one is measured, trained, exported."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers


def sequential() -> Any:
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(16, activation="relu"),
            layers.Dense(3),
        ]
    )


def functional() -> Any:
    x = keras.Input((8,))
    hidden = layers.Dense(16, activation="relu")(x)
    hidden = layers.Dense(16, activation="relu")(hidden)
    return keras.Model(x, layers.Dense(3)(hidden))


class Subclassed(keras.Model):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.first = layers.Dense(16, activation="relu")
        self.second = layers.Dense(16, activation="relu")
        self.last = layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.last(self.second(self.first(x)))


class PlainDense(tf.Module):
    def __init__(self, size: int, out: int) -> None:
        super().__init__()
        limit = (6 / (size + out)) ** 0.5
        self.kernel = tf.Variable(tf.random.uniform((size, out), -limit, limit))
        self.bias = tf.Variable(tf.zeros(out))

    def __call__(self, x: Any) -> Any:
        return x @ self.kernel + self.bias


class PlainNet(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = PlainDense(8, 16)
        self.second = PlainDense(16, 16)
        self.last = PlainDense(16, 3)

    def __call__(self, x: Any) -> Any:
        return self.last(tf.nn.relu(self.second(tf.nn.relu(self.first(x)))))


def fit(net: Any, x: Any, y: Any, epochs: int) -> Any:
    net.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    net.fit(x, y, batch_size=16, epochs=epochs, shuffle=False, verbose=0)


def plain_loop(net: Any, x: Any, y: Any, epochs: int) -> Any:
    @tf.function
    def step(images: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, net(images)))
        for variable, gradient in zip(net.trainable_variables, tape.gradient(loss, net.trainable_variables)):  # noqa: B905
            variable.assign_sub(0.1 * gradient)

    for _ in range(epochs):
        for images, labels in tf.data.Dataset.from_tensor_slices((x, y)).batch(16):
            step(images, labels)
