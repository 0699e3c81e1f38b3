"""An experiment: the forms of control flow through every path of both frameworks, one process a framework."""

from __future__ import annotations

from typing import Any

from pipelines.claims.experiments.behaviour.forms import FORMS, SHORT
from pipelines.claims.experiments.behaviour.parts import BACKENDS
from pipelines.claims.experiments.bench import ChildCall, Effort, Workbench

NAME = "behaviour.flow"
REQUIRES = ("torch", "onnx", "onnxscript", "onnxruntime", "tensorflow", "keras", "tf2onnx", "ai-edge-litert")
SOURCES = ("pipelines.claims.experiments.behaviour", "pipelines.paths.inductor")
TIMEOUT_S = 550.0


def run(bench: Workbench) -> dict[str, Any]:
    """Take the forms through the paths: {"torch: grid": ..., "tensorflow: grid": ...}, as ``run_parts`` gives them.

    Only a full measurement compiles to machine code; the form of a test has a few forms.
    """
    names = list(SHORT if bench.effort is Effort.TINY else FORMS)
    backend = BACKENDS[bench.effort]
    found = {}
    for framework, options in (("torch", {"backend": backend}), ("tensorflow", {})):
        bench.tell(f"control flow in {framework}")
        request = {"names": names, **options}
        job = ChildCall(f"pipelines.claims.experiments.behaviour.flow:in_{framework}", request, timeout_s=TIMEOUT_S)
        found[f"{framework}: grid"] = bench.run(job).value["grid"]
    return found


def in_torch(names: list[str], backend: str) -> dict[str, Any]:
    """Take forms through PyTorch's paths, in a process of their own."""
    from pipelines.claims.experiments.behaviour.in_torch.forms import grid
    from pipelines.claims.experiments.behaviour.parts import run_parts

    return run_parts({"grid": lambda: grid(names, backend)}, "torch")


def in_tensorflow(names: list[str]) -> dict[str, Any]:
    """Take forms through TensorFlow's paths, in a process of their own."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from pipelines.claims.experiments.behaviour.in_tensorflow.forms import grid
    from pipelines.claims.experiments.behaviour.parts import run_parts

    return run_parts({"grid": lambda: grid(names)}, "tensorflow")
