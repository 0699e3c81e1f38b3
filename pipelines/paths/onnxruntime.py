"""PyTorch or Keras to ONNX, run by ONNX Runtime.

The payload is ``MODEL/model.onnx``: one file with its weights inside, whose inputs and outputs have
the names of the model's spec and a free batch dimension called ``batch``. That of the variant ``ort`` is
``MODEL/model.ort``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.base.errors import unknown
from pipelines.holds.onnx import onnx_holds
from pipelines.holds.ort import ort_holds
from pipelines.paths import Card, Session, Tolerance, Variant
from pipelines.paths.behind import PROTOCOLS, SERVER, model_file, model_folder, open_behind
from pipelines.paths.to_onnx import ONNX, tidy, to_onnx
from pipelines.results import Holds
from serving.open_inference.runtimes import RUNTIMES

if TYPE_CHECKING:
    import numpy as np
    import onnx

    from models.model import Model

RUNTIME = ("onnx", "onnxruntime", "kserve")
FROM_PYTORCH = ("torch", "onnxscript", *RUNTIME)

# int8: five seeds of mnist_cnn gave 34.5 dB and more, faults in the network 28 and less.
CARD = Card(
    name="onnxruntime",
    title="ONNX Runtime",
    variants={
        "pytorch": Variant("exported from PyTorch by torch.onnx", "torch", FROM_PYTORCH, also=ONNX),
        "keras": Variant(
            "exported from the Keras twin by tf2onnx",
            "keras",
            ("keras", "tensorflow", "tf2onnx", *RUNTIME),
            memory_gb=3.0,
        ),
        "fp16": Variant(
            "weights in float16", "torch", FROM_PYTORCH, Tolerance(min_sqnr_db=60), precision="fp16", also=ONNX
        ),
        "int8": Variant(
            "weights and activations in int8, calibrated on training data",
            "torch",
            FROM_PYTORCH,
            Tolerance(min_sqnr_db=31, min_top1=0.98, min_cosine=0.999, judges_random=False),
            precision="int8",
            also=ONNX,
        ),
        "ort": Variant("ONNX Runtime's own format, optimised beforehand", "torch", FROM_PYTORCH, also=ONNX),
    },
    extra="onnxruntime",
    server=SERVER,
    container="serving.open_inference.container",
    protocols=PROTOCOLS,
    sources=(
        *("serving.open_inference.runtimes.onnxruntime", "pipelines.paths.behind"),
        *("pipelines.paths.to_onnx", "pipelines.paths.exported"),
        *("pipelines.holds.onnx", "pipelines.holds.ort", "pipelines.holds.totals", "models.files.forms.as_onnx"),
    ),
)


def package(model: Model, folder: Path, variant: str) -> None:
    """Write ``MODEL/model.onnx``, or ``model.ort``, into ``folder``.

    Raises UserError for an unknown variant, and SlipwayError for an export that lost the signature.
    """
    import onnx

    if variant not in _EXPORTERS:
        raise unknown("variant of onnxruntime", variant, _EXPORTERS)
    proto = _EXPORTERS[variant](model)
    tidy(proto, model)
    onnx.checker.check_model(proto, full_check=True)
    place, content = model_folder(model, folder), proto.SerializeToString(deterministic=True)
    if variant == "ort":
        _write_ort(content, place / "model.ort")
    else:
        (place / "model.onnx").write_bytes(content)


def holds(folder: Path) -> Holds:
    """Read what the payload holds."""
    file = model_file(folder, RUNTIMES["onnxruntime"])
    return ort_holds(file) if file.suffix == ".ort" else onnx_holds(file)


def open(folder: Path, threads: int) -> Session:
    """Load the model into an ONNX Runtime session with ``threads`` threads. Raises SlipwayError."""
    return open_behind("onnxruntime", folder, threads)


def _from_keras(model: Model) -> onnx.ModelProto:
    from models.files.forms.as_onnx import SIGNATURE, converted

    with tempfile.TemporaryDirectory() as scratch:
        model.form("keras").export(scratch, verbose=False)
        return converted(Path(scratch), SIGNATURE, model.spec)


def _float16(model: Model) -> onnx.ModelProto:
    """Write the network in float16, but for its inputs and outputs: the signature stays.

    Where a processor's kernels have no float16, ONNX Runtime puts conversions around them.
    """
    from onnxruntime.quantization.onnx_model import ONNXModel
    from onnxruntime.transformers.float16 import convert_float_to_float16

    converted = ONNXModel(convert_float_to_float16(to_onnx(model), keep_io_types=True))
    converted.topological_sort()  # the conversions of inputs are behind the nodes that they feed
    proto: onnx.ModelProto = converted.model
    proto.graph.ClearField("value_info")  # some inner values still have the types of the float32 network
    return proto


def _int8(model: Model) -> onnx.ModelProto:
    """Quantise with the extremes of all calibration rows.

    Activations are unsigned and weights signed, which the processors' instructions multiply; one scale for all
    channels of a weight would be far too coarse. Weights have seven bits: processors without VNNI add two products in
    16 bits, which eight bits overflow.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.calibrate import CalibrationDataReader
    from onnxruntime.quantization.shape_inference import quant_pre_process

    rows = model.calibration()

    class Rows(CalibrationDataReader):
        """One row at a time: the memory of one row is enough for any model."""

        def __init__(self) -> None:
            self.left = iter(range(len(rows)))

        def get_next(self) -> dict[str, np.ndarray] | None:
            row = next(self.left, None)
            return None if row is None else {name: array[row : row + 1] for name, array in rows.inputs.items()}

    with tempfile.TemporaryDirectory() as scratch:
        made, prepared, done = (Path(scratch, f"{step}.onnx") for step in ("exported", "prepared", "quantised"))
        onnx.save(to_onnx(model), made)
        quant_pre_process(made, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            done,
            Rows(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(done)


def _write_ort(content: bytes, file: Path) -> None:
    """Optimise a model and write it in ONNX Runtime's format.

    The extended level fits every processor. The next one, which a session takes for an ``.onnx`` file, gives
    convolutions the layout of the processor that it runs on: they are slower without it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(file)
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


_EXPORTERS: dict[str, Callable[[Model], onnx.ModelProto]] = {
    "pytorch": to_onnx,
    "keras": _from_keras,
    "fp16": _float16,
    "int8": _int8,
    "ort": to_onnx,
}
