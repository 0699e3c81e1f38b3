"""Serves Keras models eagerly, as they were built, and weighs that against the graph of a SavedModel."""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

from pipelines.base.errors import SlipwayError

if TYPE_CHECKING:
    import numpy as np

MODELS = ("cnn", "transformer")
ARMS = ("eager", "eager again", "graph")
"""The ways that are timed; the second is the control, the same as the first."""
WARM_UP_CALLS = 5
CLOSE = 1e-4
"""Largest difference of any output of graph and eager call, which compute the same in float32; outputs are about 1."""

Predict = Callable[["np.ndarray"], "np.ndarray"]


def measure(seed: int, blocks: int, calls: int) -> dict[str, dict[str, Any]]:
    """Return {model: {arm: CPU seconds a call}} at batch 1, in this process alone; blocks of arms come in random order.

    ``served`` says whether a plain HTTP server answered a request by the eager call. Raises SlipwayError if any two
    answers differ.
    """
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return {name: _measure(name, seed, blocks, calls) for name in MODELS}


def _measure(name: str, seed: int, blocks: int, calls: int) -> dict[str, Any]:
    import keras
    import numpy as np
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    model, shape = BUILDERS[name]()
    x = np.random.default_rng(seed).random((1, *shape), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        loaded = tf.saved_model.load(folder)  # kept: its variables go with it

    def eager(rows: np.ndarray) -> np.ndarray:
        return model(rows, training=False).numpy()

    arms: dict[str, Predict] = {"eager": eager, "eager again": eager, "graph": lambda rows: loaded.serve(rows).numpy()}
    expected = eager(x)
    served = _served(eager, x)
    for what, answer in (("the graph", arms["graph"](x)), ("the eager server", served)):
        if answer is None:
            continue
        apart = float(np.abs(answer - expected).max())
        if answer.shape != expected.shape or not apart <= CLOSE:
            raise SlipwayError(f"{name}: {what} must answer as the eager call does. Received: {apart:.3g} apart")
    for predict in arms.values():
        for _ in range(WARM_UP_CALLS):
            predict(x)
    used = dict.fromkeys(ARMS, 0.0)
    draw = random.Random(seed)  # noqa: S311 - an order
    for _ in range(blocks):
        for arm in draw.sample(ARMS, len(ARMS)):
            predict, started = arms[arm], time.process_time()
            for _ in range(calls):
                predict(x)
            used[arm] += time.process_time() - started
    return {"served": served is not None, **{arm: seconds / (blocks * calls) for arm, seconds in used.items()}}


def _served(predict: Predict, x: np.ndarray) -> np.ndarray | None:
    """Answer one request by a plain HTTP server of Python, bytes in and bytes out; None if it does not answer."""
    import http.client

    import numpy as np

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = predict(np.frombuffer(body, np.float32).reshape(x.shape)).tobytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        client = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
        client.request("POST", "/", x.tobytes())
        try:
            received = np.frombuffer(client.getresponse().read(), np.float32)
        except (OSError, http.client.HTTPException):
            return None
        finally:
            client.close()
            thread.join()
    return received.reshape(1, -1)


def _cnn() -> tuple[Any, tuple[int, ...]]:
    """Build a network like mnist_cnn: two convolutions with batch normalisation."""
    import keras
    from keras import layers

    network = keras.Sequential([keras.Input((28, 28, 1))])
    for filters in (16, 32):
        for layer in (layers.Conv2D(filters, 3, padding="same"), layers.BatchNormalization(), layers.ReLU()):
            network.add(layer)
        network.add(layers.MaxPooling2D(2))
    network.add(layers.Flatten())
    network.add(layers.Dense(10))
    return network, (28, 28, 1)


def _transformer() -> tuple[Any, tuple[int, ...]]:
    """Build one block of attention, 32 wide, over 16 places."""
    import keras
    from keras import layers

    x = start = keras.Input((16, 32))
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 16)(x, x))
    x = layers.LayerNormalization()(x + layers.Dense(32)(layers.Dense(64, activation="gelu")(x)))
    return keras.Model(start, layers.Dense(10)(layers.GlobalAveragePooling1D()(x))), (16, 32)


BUILDERS: dict[str, Callable[[], tuple[Any, tuple[int, ...]]]] = {"cnn": _cnn, "transformer": _transformer}
