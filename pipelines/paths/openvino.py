"""OpenVINO: Intel's runtime, in four precisions, each of which is asked for by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.errors import NotPossible, SlipwayError
from pipelines.holds.openvino import openvino_holds
from pipelines.paths import Card, Session, Tolerance, Variant
from pipelines.paths.behind import PROTOCOLS, SERVER, model_file, model_folder, open_behind
from pipelines.paths.to_onnx import ONNX, to_onnx
from pipelines.results import Holds
from serving.open_inference.runtimes import RUNTIMES

if TYPE_CHECKING:
    from models.model import Model

ITSELF = ("saved_model", *ONNX)
"""The forms of users' files that OpenVINO reads by itself."""
REQUIRES = ("torch", "onnx", "onnxscript", "openvino", "kserve")

# Floors below what five seeds of mnist_cnn gave (float16 66 dB and more, bfloat16 50, int8 32), and above what faults
# in the network give (28 dB and less).
CARD = Card(
    name="openvino",
    title="OpenVINO",
    variants={
        "fp32": Variant("computed in float32", "torch", REQUIRES, also=ITSELF),
        "fp16": Variant(
            "stored and computed in float16",
            "torch",
            REQUIRES,
            Tolerance(min_sqnr_db=60),
            precision="fp16",
            also=ITSELF,
        ),
        "bf16": Variant(
            "computed in bfloat16",
            "torch",
            REQUIRES,
            Tolerance(min_sqnr_db=45, min_top1=0.99),
            precision="bf16",
            also=ITSELF,
        ),
        "int8": Variant(
            "weights and activations in int8 by NNCF, calibrated on training data",
            "torch",
            (*REQUIRES, "nncf"),
            Tolerance(min_sqnr_db=30, min_top1=0.98, judges_random=False),
            precision="int8",
            also=ITSELF,
        ),
    },
    extra="openvino",
    server=SERVER,
    protocols=PROTOCOLS,
    sources=(
        *("serving.open_inference.runtimes.openvino", "pipelines.paths.behind"),
        *("pipelines.paths.to_onnx", "pipelines.paths.exported"),
        *("pipelines.holds.openvino", "pipelines.holds.totals"),
    ),
)
LAST_WORDS = 120
HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16", "int8": "f32"}
"""The precision of what is not quantised; without one, OpenVINO takes bfloat16 where the processor has AMX."""


def package(model: Model, folder: Path, variant: str) -> None:
    """Write ``MODEL/model.xml`` and ``model.bin``, which say in which precision they are to be computed.

    Raises NotPossible if the processor does not compute in that precision.
    """
    import openvino

    from serving.open_inference.runtimes.openvino import NEEDS, PRECISION

    core = openvino.Core()
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if NEEDS[HINTS[variant]] not in able:
        raise NotPossible(f"this processor does not compute in {HINTS[variant]}. It can: {', '.join(able)}")
    if "torch" not in model.forms and "saved_model" in model.forms:
        network = openvino.convert_model(str(model.form("saved_model")))
    else:
        network = _read(core, to_onnx(model).SerializeToString())
    for output in network.outputs:  # a tensor may have several names: the spec's is the one to ask for
        for tensor in model.spec.outputs:
            if tensor.name in output.get_names():
                output.get_tensor().set_names({tensor.name})
    if variant == "int8":
        network = _quantised(network, model)
    network.set_rt_info(HINTS[variant], PRECISION)
    for number, operation in enumerate(network.get_ordered_ops()):
        if operation.get_friendly_name() == operation.get_name():  # numbered through the process
            operation.set_friendly_name(f"{operation.get_type_name()}_{number}")
    place = model_folder(model, folder)
    openvino.save_model(network, place / "model.xml", compress_to_fp16=variant == "fp16")


def _read(core: Any, content: bytes) -> Any:
    """Read an ONNX file's content. Raises SlipwayError with OpenVINO's words, whose first line is its own source's."""
    try:
        return core.read_model(content)
    except RuntimeError as error:
        words = " ".join(str(error).split()).partition(" To facilitate")[0]
        raise SlipwayError(f"OpenVINO does not read it: ...{words[-LAST_WORDS:]}") from error


def _quantised(network: Any, model: Model) -> Any:
    import nncf

    rows = model.calibration()
    single = [{name: array[row : row + 1] for name, array in rows.inputs.items()} for row in range(len(rows))]
    # Weights of seven bits: processors without VNNI add two products in 16 bits, which eight bits overflow.
    safe = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE)
    kind = nncf.ModelType.TRANSFORMER if model.spec.text else None
    return nncf.quantize(
        network, nncf.Dataset(single), subset_size=len(single), model_type=kind, advanced_parameters=safe
    )


def holds(folder: Path) -> Holds:
    """Read what the payload holds."""
    from serving.open_inference.runtimes.openvino import PRECISION

    return openvino_holds(model_file(folder, RUNTIMES["openvino"]), PRECISION)


def open(folder: Path, threads: int) -> Session:
    """Compile the network for this processor, with ``threads`` threads. Raises SlipwayError."""
    return open_behind("openvino", folder, threads)
