"""OpenVINO on the processor. The precision of its arithmetic is the model's own choice, never the machine's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.open_inference.runtimes import Arrays, DoesNotFit, Loaded, NotLoadable, Tensor

if TYPE_CHECKING:
    import numpy as np

PLATFORM = "openvino"
TITLE = "OpenVINO"
DISTRIBUTIONS = ("openvino",)
NEEDED_MB = 210  # 196 at its peak
MALLOCS = False
PRECISION = ["slipway", "inference_precision"]
"""Where a model says in which precision it is to be computed: ``f32``, ``f16`` or ``bf16``."""

NEEDS = {"f32": "FP32", "f16": "FP16", "bf16": "BF16"}
"""A precision, and the processor's capability that it needs."""


def load(path: Path, threads: int) -> Loaded:
    """Load an ``.xml`` file with its ``.bin``, for predictions one at a time with ``threads`` threads.

    Without a hint OpenVINO computes in bfloat16 on processors that have AMX, and in float32 on others.
    """
    import openvino

    core = openvino.Core()
    try:
        model = core.read_model(path)
        precision = model.get_rt_info(PRECISION).value if model.has_rt_info(PRECISION) else "f32"
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if NEEDS.get(precision) not in able:
            raise NotLoadable(f"this processor does not compute in {precision}. It can: {', '.join(able)}")
        compiled = core.compile_model(model, "CPU", settings)
        inputs, outputs = (tuple(map(_tensor, ports)) for ports in (compiled.inputs, compiled.outputs))
    except (RuntimeError, ValueError) as error:  # ValueError: a damaged word that its message quotes is no UTF-8
        raise NotLoadable(f"{path} cannot be loaded: {' '.join(str(error).split())}") from error
    request = compiled.create_infer_request()
    places = {tensor.name: place for place, tensor in enumerate(outputs)}

    def run(arrays: Arrays, wanted: Sequence[str]) -> list[np.ndarray]:
        try:
            results = request.infer(dict(arrays), share_inputs=True, share_outputs=False)
        except RuntimeError as error:
            raise DoesNotFit(" ".join(str(error).split())) from error
        return [results[places[name]] for name in wanted]

    return Loaded(inputs, outputs, run)


def _tensor(port: Any) -> Tensor:
    shape = tuple(size.get_length() if size.is_static else -1 for size in port.get_partial_shape())
    return Tensor(port.get_any_name(), port.get_element_type().to_dtype().name, shape)
