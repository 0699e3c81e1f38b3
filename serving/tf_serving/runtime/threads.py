"""Run a signature, and measure TensorFlow's time for it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from serving.tf_serving.base.metrics import RUNTIME_LATENCY
from serving.tf_serving.runtime.servable import Servable, Signature

_RUNTIME = "TF1"  # tensorflow/serving's name, in metrics, for its runtime that is not TFRT


def run_signature(
    servable: Servable, api: str, signature: Signature, arrays: Mapping[str, np.ndarray], wanted: Sequence[str]
) -> Mapping[str, np.ndarray]:
    """Return the ``wanted`` outputs; ``api`` names the request's API in the metrics. Raises ServingError."""
    start = time.perf_counter()
    outputs = signature.run(arrays, wanted)
    note_runtime(servable, api, time.perf_counter() - start)
    return outputs


def note_runtime(servable: Servable, api: str, seconds: float) -> None:
    """Record one run in the metrics."""
    RUNTIME_LATENCY.observe(servable.name, api, _RUNTIME, value=seconds * 1e6)
