"""Runs a measured network in TensorFlow: eager, as a tf.function, compiled by XLA; and as it is served.

One training step, written once: what differs is only how TensorFlow runs it. ``jit_compile`` is said each time:
Keras would turn XLA on by itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import weights
from pipelines.claims.experiments.nets.shapes import BATCHES, MOMENTUM, RATE, StepTrial, drawn, inputs, labels

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def start(cache: str | None = None) -> None:  # noqa: ARG001 - XLA keeps nothing
    """Use one compute thread. Raises RuntimeError if TensorFlow has begun to compute."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def trial(arm: str, net: str, batch: int, calls: Sequence[str], seed: int) -> StepTrial:
    """Make a network ready for training steps of ``batch`` rows and for ``calls``.

    ``infer64`` predicts 64 rows the arm's way, ``saved64`` by an exported SavedModel, ``predict64`` by Keras.
    """
    import keras
    import tensorflow as tf

    from pipelines.claims.experiments.nets import keras_nets

    model = keras_nets.build(net)
    weights.into_keras(drawn(weights.from_keras(model)), model)
    optimizer = keras.optimizers.SGD(RATE, MOMENTUM)
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    data = [(tf.constant(inputs(net, batch, seed + n)), tf.constant(labels(batch, seed + n))) for n in range(BATCHES)]

    def train(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    def forward(x: tf.Tensor) -> tf.Tensor:
        return model(x, training=False)

    trained, makers = _as(arm, train), {"infer": lambda _: _as(arm, forward), "saved": _saved, "predict": _predict}
    ways: dict[str, Callable[[Any], Any]] = {}
    answers = {}
    for name in calls:
        way = name.rstrip("0123456789")
        if way not in ways:
            ways[way] = makers[way](model)
        rows = inputs(net, int(name.removeprefix(way)), seed)
        answers[name] = partial(ways[way], rows if way == "predict" else tf.constant(rows))
    return StepTrial(lambda number: trained(*data[number % BATCHES]), lambda: weights.from_keras(model), answers)


def eager() -> bool:
    """Return whether a plain operation has its value at once."""
    import tensorflow as tf

    return float(tf.add(1.0, 2.0)) == 3.0


def counted() -> dict[str, int]:
    """Return no counts: they are those of PyTorch's compiler."""
    return {"graphs": 0, "breaks": 0}


def _as(arm: str, function: Callable[..., Any]) -> Callable[..., Any]:
    import tensorflow as tf

    return function if arm == "tf-eager" else tf.function(function, jit_compile=arm == "tf-xla")


def _predict(model: keras.Model) -> Callable[[Any], Any]:
    """Return Keras's ``predict`` of one batch. It takes a numpy array and returns one, as those who call it do."""
    model.compile(jit_compile=False)
    return lambda rows: model.predict(rows, batch_size=len(rows), verbose=0)


def _saved(model: keras.Model) -> Callable[[Any], Any]:
    """Export a model as a server takes it, load that, and return its signature."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        model.export(str(Path(folder) / "1"), verbose=False)
        loaded = tf.saved_model.load(str(Path(folder) / "1"))
    signature = loaded.signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]

    def call(x: tf.Tensor) -> Any:
        (answer,) = signature(**{name: x}).values()
        return answer

    call.kept = loaded  # type: ignore[attr-defined]  # its variables go with it
    return call
