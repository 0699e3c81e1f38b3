"""ONNX Runtime on the processor, with the settings that serving and verifying share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.open_inference.runtimes import Arrays, DoesNotFit, Loaded, NotLoadable, Tensor

if TYPE_CHECKING:
    import numpy as np

PLATFORM = "onnxruntime_onnx"
TITLE = "ONNX Runtime"
DISTRIBUTIONS = ("onnxruntime",)
NEEDED_MB = 180  # 174 at its peak
MALLOCS = False
ERRORS_ONLY = 3  # ONNX Runtime's severity: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal
# ONNX Runtime names its types after C++: "tensor(float)".
_CPP = {"float": "float32", "double": "float64"}


def load(path: Path, threads: int) -> Loaded:
    """Load an ``.onnx`` or ``.ort`` file into a session with ``threads`` threads for one prediction.

    Threads that wait for work sleep: by default they spin, which takes the CPU from the process's
    own protocol work and from its neighbours.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # What a session raises for a file that it cannot load; they have no ancestor of their own.
    load_errors = (
        *(runtime_errors.Fail, runtime_errors.InvalidArgument, runtime_errors.InvalidGraph),
        *(runtime_errors.InvalidProtobuf, runtime_errors.NoModel, runtime_errors.NoSuchFile),
        *(runtime_errors.NotImplemented, runtime_errors.RuntimeException, OSError, ValueError),
    )
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        inputs, outputs = (tuple(map(_tensor, nodes)) for nodes in (session.get_inputs(), session.get_outputs()))
    except load_errors as error:
        raise NotLoadable(f"{path} cannot be loaded: {' '.join(str(error).split())}") from error

    def run(arrays: Arrays, wanted: Sequence[str]) -> list[np.ndarray]:
        try:
            results: list[np.ndarray] = session.run(wanted, arrays)
        except runtime_errors.InvalidArgument as error:
            raise DoesNotFit(str(error)) from error
        return results

    return Loaded(inputs, outputs, run)


def _tensor(node: Any) -> Tensor:
    name = node.type.removeprefix("tensor(").removesuffix(")")
    return Tensor(node.name, _CPP.get(name, name), tuple(size if isinstance(size, int) else -1 for size in node.shape))
