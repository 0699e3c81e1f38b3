"""The models of ``changing`` in TensorFlow, eager; and where TensorFlow executes eagerly at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.claims.experiments.behaviour.changing import CHANGING, WEIGHT, check


class ChangeableModule(tf.Module):
    """One weight, shared by all layers; ``layers`` grows; ``turns`` counts how often Python ran the call."""

    def __init__(self, body: Callable[[Any, Any], tf.Tensor]) -> None:
        super().__init__()
        self.weight = tf.Variable(WEIGHT)
        self.layers: list[Callable[[tf.Tensor], tf.Tensor]] = []
        self.body, self.turns = body, 0

    def __call__(self, given: Any) -> tf.Tensor:
        self.turns += 1
        return self.body(self, given)


def _depth(net: ChangeableModule, given: float) -> tf.Tensor:
    x = tf.constant(given)
    for _ in range(int(x)):
        x = x * net.weight
    return x


def _branch(net: ChangeableModule, given: float) -> tf.Tensor:
    x = tf.constant(given)
    if x * net.weight > 3:
        return x * net.weight * net.weight
    return x - net.weight


def _tree(net: ChangeableModule, given: Any) -> tf.Tensor:
    if isinstance(given, list):
        left, right = (_tree(net, part) for part in given)
        return net.weight * (left + right)
    return tf.constant(given)


def _grown(net: ChangeableModule, given: float) -> tf.Tensor:  # noqa: ARG001
    net.layers.append(lambda x: x * net.weight)
    x = tf.constant(2.0)
    for layer in net.layers:
        x = layer(x)
    return x


BODIES = dict(zip(CHANGING, (_depth, _branch, _tree, _grown), strict=True))


def changing() -> dict[str, Any]:
    """Check every model: {name: {"right", ..., "turns"}}."""
    return {name: _checked(name) for name in BODIES}


def _checked(name: str) -> dict[str, Any]:
    net = ChangeableModule(BODIES[name])

    def ask(given: Any) -> tuple[float, float]:
        with tf.GradientTape() as tape:
            answer = net(given)
        return float(answer), float(tape.gradient(answer, net.weight))

    return {**check(name, ask), "turns": net.turns}


class EagerWatch(keras.layers.Layer):
    """Notes whether TensorFlow executes eagerly whenever its call runs in Python."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bool] = []

    def call(self, x: Any) -> Any:
        self.seen.append(tf.executing_eagerly())
        return x


CALLS = ("call", "predict", "evaluate", "fit", "train_on_batch")
AT_TOP = "__main__"
"""The top level of a program, outside of any model."""


def eager_where() -> dict[str, Any]:
    """Say where TensorFlow executes eagerly: {"as it comes": {place: bool}, "run_eagerly": ..., "jit_compile": ...}.

    ``runs`` says how often Python ran the layer in two calls of the model and in two epochs of two batches of ``fit``.
    """
    return {
        "as it comes": {AT_TOP: tf.executing_eagerly(), **{place: _eager_in(place)[0] for place in CALLS}},
        "run_eagerly": {place: _eager_in(place, run_eagerly=True)[0] for place in CALLS},
        "jit_compile": {place: _eager_in(place, jit_compile=False)[0] for place in CALLS},
        "runs": {place: _eager_in(place)[1] for place in ("call", "fit")},
    }


def _eager_in(place: str, **options: Any) -> tuple[bool, int]:
    """Run a Keras model's method; say whether its layers ran eagerly each time, and how often Python ran them."""
    watch = EagerWatch()
    net = keras.Sequential([keras.Input((3,)), watch, keras.layers.Dense(1)])
    net.compile("sgd", "mse", **options)
    x, y = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")
    watch.seen.clear()  # building called it
    calls: dict[str, Callable[[], Any]] = {
        "call": lambda: [net(x), net(x)],
        "predict": lambda: net.predict(x, verbose=0),
        "evaluate": lambda: net.evaluate(x, y, verbose=0),
        "fit": lambda: net.fit(x, y, batch_size=2, epochs=2, verbose=0),
        "train_on_batch": lambda: net.train_on_batch(x, y),
    }
    calls[place]()
    if not watch.seen:
        raise RuntimeError(f"{place} never ran the layer")
    return all(watch.seen), len(watch.seen)
