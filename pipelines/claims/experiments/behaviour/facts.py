"""An experiment that several claims share: what both frameworks do, each fact once, one process a framework."""

from __future__ import annotations

from typing import Any

from pipelines.claims.experiments.behaviour.parts import BACKENDS
from pipelines.claims.experiments.bench import ChildCall, Effort, Workbench

NAME = "behaviour.facts"
REQUIRES = ("torch", "tensorflow", "keras", "tf2onnx", "onnxruntime", "ai-edge-litert")
SOURCES = ("pipelines.claims.experiments.behaviour", "serving.tf_serving.recipe", "pipelines.paths.inductor")
TIMEOUT_S = 550.0


def run(bench: Workbench) -> dict[str, Any]:
    """Collect the facts: {"torch: PART": ..., "tensorflow: PART": ...}, each as ``parts.run_parts`` gives it.

    Only a full measurement compiles to machine code; in the form of a test, one server is started.
    """
    found: dict[str, Any] = {}
    for framework, request in (
        ("torch", {"backend": BACKENDS[bench.effort]}),
        ("tensorflow", {"serve_both": bench.effort > Effort.TINY}),
    ):
        bench.tell(f"facts of {framework}")
        job = ChildCall(f"pipelines.claims.experiments.behaviour.facts:in_{framework}", request, timeout_s=TIMEOUT_S)
        found |= {f"{framework}: {part}": value for part, value in bench.run(job).value.items()}
    return found


def in_torch(backend: str) -> dict[str, Any]:
    """Collect PyTorch's facts, in a process of their own."""
    import torch

    from pipelines.claims.experiments.behaviour import numpy_like
    from pipelines.claims.experiments.behaviour.in_torch import changing, debugged, styles
    from pipelines.claims.experiments.behaviour.parts import run_parts

    torch.set_num_threads(1)
    parts = {
        "changing": changing.changing,
        "debugged": lambda: debugged.debugged(backend),
        "numpy": lambda: {"torch": _numpy_like(torch, torch.from_numpy), "of": len(numpy_like.names())},
        "styles": styles.trained,
    }
    return run_parts(parts, "torch")


def in_tensorflow(serve_both: bool) -> dict[str, Any]:
    """Collect TensorFlow's facts, in a process of their own."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from keras import ops

    from pipelines.claims.experiments.behaviour.in_tensorflow import changing, debugged, sessions, styles
    from pipelines.claims.experiments.behaviour.parts import run_parts

    modules = {"tf": tf, "keras.ops": ops, "tf.experimental.numpy": tf.experimental.numpy}
    parts = {
        "eager": changing.eager_where,
        "changing": changing.changing,
        "debugged": debugged.debugged,
        "numpy": lambda: {name: _numpy_like(module, tf.constant) for name, module in modules.items()},
        "styles": styles.trained,
        "sessions": lambda: sessions.sessions(serve_both),
        "numpy, switched on": lambda: _switched_on(tf.experimental.numpy, tf.constant),  # the last: it changes the rest
    }
    return run_parts(parts, "tensorflow")


def _switched_on(module: Any, tensor: Any) -> dict[str, Any]:
    module.experimental_enable_numpy_behavior()
    return _numpy_like(module, tensor)


def _numpy_like(module: Any, tensor: Any) -> dict[str, Any]:
    from pipelines.claims.experiments.behaviour.numpy_like import names_in, works_in

    return {"works": works_in(module, tensor), "names": names_in(module)}
