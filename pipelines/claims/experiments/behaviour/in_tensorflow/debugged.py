"""A user's program in TensorFlow that prints, stops, and makes mistakes in marked lines; and the modes it runs in."""

from __future__ import annotations

import sys
from typing import Any

import tensorflow as tf

from pipelines.claims.experiments.behaviour.debugging import Call, Wrap, probe_all

TABLE = tf.range(5.0)


def prints(x: tf.Tensor) -> tf.Tensor:
    hidden = x * 2 + 1
    print("hidden", hidden)
    return tf.reduce_sum(hidden)


def stops(x: tf.Tensor) -> tf.Tensor:
    hidden = x * 2 + 1
    breakpoint()
    return tf.reduce_sum(hidden)


def mistake_shape(x: tf.Tensor) -> tf.Tensor:
    hidden = x * 2 + 1
    wrong = tf.tensordot(hidden, TABLE, 1)  # mark:shape
    return wrong + 1


def mistake_index(x: tf.Tensor) -> tf.Tensor:
    index = tf.cast(x * 2 + 5, tf.int32)
    wrong = tf.gather(TABLE, index)  # mark:index
    return wrong + 1


def _eager(function: Any) -> Call:
    return lambda values: function(tf.constant(values))


def _graph(function: Any) -> Call:
    graph = tf.function(function)
    return lambda values: graph(tf.constant(values)).numpy()


def _xla(function: Any) -> Call:
    graph = tf.function(function, jit_compile=True)
    return lambda values: graph(tf.constant(values)).numpy()


MODES: dict[str, Wrap] = {"TensorFlow eager": _eager, "tf.function": _graph, "tf.function + XLA": _xla}


def debugged() -> dict[str, Any]:
    """Probe every mode of TensorFlow."""
    return probe_all(sys.modules[__name__], MODES)
