"""An ONNX Runtime session, with the settings that serving and verifying share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnxruntime

ERRORS_ONLY = 3  # ONNX Runtime's severity: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal


def open_session(model: Path, threads: int) -> onnxruntime.InferenceSession:
    """Return the session of an ``.onnx`` file on the CPU, with ``threads`` threads for one prediction.

    Threads that wait for work sleep: by default they spin, which takes the CPU from the process's
    own protocol work and from its neighbours.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
