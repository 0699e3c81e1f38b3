"""A program of TensorFlow 1 today: trained in a session, saved and served; and where a session is still needed."""

from __future__ import annotations

import contextlib
import json
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.claims.experiments.behaviour.forms import short
from serving.launch import LaunchRequest, free_ports, serve
from serving.tf_serving.recipe import recipe

STEPS = 60
TRUE_SLOPE, TRUE_OFFSET = 3.0, -1.0
NEARLY = 0.05
"""How far the learned line, and a served answer, may be from the true ones."""

PROGRAM = """
x = tf.placeholder(tf.float32, [None, 1], name="x")
y = tf.placeholder(tf.float32, [None, 1], name="y")
slope = tf.get_variable("slope", [1, 1], initializer=tf.zeros_initializer())
offset = tf.get_variable("offset", [1], initializer=tf.zeros_initializer())
line = tf.add(tf.matmul(x, slope), offset, name="line")
loss = tf.reduce_mean(tf.square(line - y))
train = tf.train.GradientDescentOptimizer(0.3).minimize(loss)
session = tf.Session()
session.run(tf.global_variables_initializer())
losses = [session.run([loss, train], {x: inputs, y: outputs})[0] for _ in range(steps)]
tf.saved_model.simple_save(session, folder, {"x": x}, {"line": line})
"""
"""A program as it was written for TensorFlow 1, but for its import."""


def _data() -> tuple[np.ndarray, np.ndarray]:
    inputs = np.linspace(-1, 1, 20, dtype="float32")[:, None]
    return inputs, TRUE_SLOPE * inputs + TRUE_OFFSET


def _program(module: Any, folder: str) -> dict[str, Any]:
    """Run PROGRAM with ``module`` as its ``tf``, in a graph of its own, as TensorFlow 1 ran it."""
    inputs, outputs = _data()
    names = {"tf": module, "inputs": inputs, "outputs": outputs, "steps": STEPS, "folder": folder}
    with tf.Graph().as_default():
        exec(PROGRAM, names)  # noqa: S102 - the program stands above
    return names


def _tried(do: Callable[[], Any]) -> str:
    """Return how it ended: ``ok``, or the error."""
    try:
        do()
    except Exception as error:  # noqa: BLE001 - that it is gone is the answer
        return short(error)
    return "ok"


def _one(answer: Any) -> float:
    return float(np.ravel(answer)[0])


def _layers() -> None:
    with tf.Graph().as_default():
        tf.compat.v1.layers.dense(tf.compat.v1.placeholder(tf.float32, [None, 1]), 1)


def sessions(serve_both: bool) -> dict[str, Any]:
    """Run the old program, and the same task as it is written today; serve the old one, or both.

    Returns {"as written", "v1.layers": ``ok`` or the error, "losses": [first, last], "sessions": {program: how many it
    opened}, "loaded", "frozen", "served": answers to 0.5, "truth": the true one}.
    """
    with tempfile.TemporaryDirectory() as scratch:
        old, new = (str(Path(scratch, name, "1")) for name in ("old", "new"))
        with _counted() as of_old:
            names = _program(tf.compat.v1, old)
        with _counted() as of_new:
            _today(new)
        served = {"old": old, "new": new} if serve_both else {"old": old}
        return {
            "as written": _tried(lambda: _program(tf, str(Path(scratch, "never")))),
            "v1.layers": _tried(_layers),
            "losses": [float(names["losses"][0]), float(names["losses"][-1])],
            "loaded": _loaded(old),
            "frozen": _frozen(names, Path(scratch, "frozen")),
            "served": {name: _served(Path(folder).parent) for name, folder in served.items()},
            "truth": TRUE_SLOPE * 0.5 + TRUE_OFFSET,
            "sessions": {"old": len(of_old), "new": len(of_new)},
        }


def _loaded(folder: str) -> float:
    """Load the old graph with today's TensorFlow, without a session, and ask it for 0.5."""
    loaded = tf.saved_model.load(folder)
    return _one(loaded.signatures["serving_default"](x=tf.constant([[0.5]]))["line"])


def _frozen(names: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Freeze the old graph to a GraphDef, the form without signatures, and ask for 0.5 by names of its tensors."""
    session = names["session"]
    convert = tf.compat.v1.graph_util.convert_variables_to_constants
    frozen = convert(session, session.graph_def, ["line"])
    folder.mkdir()
    (folder / "frozen_graph.pb").write_bytes(frozen.SerializeToString())
    by_load = _tried(lambda: tf.saved_model.load(str(folder)))
    wrapped = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(frozen, name=""), [])
    call = wrapped.prune("x:0", "line:0")
    return {"saved_model.load": by_load, "wrap_function": _one(call(tf.constant([[0.5]])))}


def _today(folder: str) -> None:
    """Write the same task as it is written today: built, trained, exported."""
    inputs, outputs = _data()
    net = keras.Sequential(
        [keras.Input((1,), name="x"), keras.layers.Dense(1, kernel_initializer="zeros", name="line")]
    )
    net.compile(keras.optimizers.SGD(0.3), "mse", jit_compile=False)
    net.fit(inputs, outputs, batch_size=len(inputs), epochs=STEPS, verbose=0)
    net.export(folder, verbose=False)


@contextlib.contextmanager
def _counted() -> Iterator[list[Any]]:
    """Collect the sessions that are opened."""
    opened: list[Any] = []
    session = tf.compat.v1.Session.__mro__[1]  # what Session and InteractiveSession share
    before = session.__init__

    def counted(self: Any, *arguments: Any, **options: Any) -> None:
        opened.append(self)
        before(self, *arguments, **options)

    session.__init__ = counted
    try:
        yield opened
    finally:
        session.__init__ = before


def _served(base: Path) -> float:
    """Serve a SavedModel by slipway's server of TensorFlow Serving's API, and ask it for 0.5 over REST."""
    with tempfile.TemporaryDirectory() as workdir:
        rest, grpc = free_ports(2)
        request = LaunchRequest("line", base, Path(workdir), rest, grpc)
        with serve(recipe(request), Path(workdir)):
            url = f"http://{request.host}:{rest}/v1/models/line:predict"
            asked = urllib.request.Request(url, json.dumps({"instances": [[0.5]]}).encode())
            with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - on loopback
                return _one(json.load(answer)["predictions"])
