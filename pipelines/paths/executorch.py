"""ExecuTorch: PyTorch's runtime for phones and small devices, with XNNPACK's kernels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.holds.executorch import executorch_holds
from pipelines.paths import Card, Session, Tolerance, Variant
from pipelines.paths.behind import PROTOCOLS, SERVER, model_file, model_folder, open_behind
from pipelines.paths.exported import export
from pipelines.paths.quantised import quantised
from pipelines.results import Holds
from serving.open_inference.runtimes import RUNTIMES

if TYPE_CHECKING:
    from models.model import Model

REQUIRES = ("torch", "executorch", "torchao", "kserve")

# int8: five seeds of mnist_cnn gave 35.5 dB and more, faults in the network 28 and less.
CARD = Card(
    name="executorch",
    title="ExecuTorch (XNNPACK)",
    variants={
        "fp32": Variant("float32", "torch", REQUIRES),
        "int8": Variant(
            "weights and activations in int8, calibrated on training data",
            "torch",
            REQUIRES,
            Tolerance(min_sqnr_db=32, min_top1=0.98, min_cosine=0.999, judges_random=False),
            precision="int8",
        ),
    },
    extra="executorch",
    server=SERVER,
    protocols=PROTOCOLS,
    sources=(
        *("serving.open_inference.runtimes.executorch", "pipelines.paths.behind", "pipelines.paths.exported"),
        *("pipelines.paths.quantised", "pipelines.holds.executorch", "pipelines.holds.totals"),
    ),
)


def package(model: Model, folder: Path, variant: str) -> None:
    """Write ``MODEL/model.pte`` with its signature; the batch is free up to the spec's, which memory is planned for.

    XNNPACK reshapes with one free dimension only: of a model with free lengths, the program takes one row, and the
    runtime calls it row by row.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.backends.xnnpack.quantizer import xnnpack_quantizer
    from executorch.exir import to_edge_transform_and_lower

    rows = 1 if model.spec.lengths else model.spec.max_batch
    if variant == "int8":
        settings = xnnpack_quantizer.get_symmetric_quantization_config(is_per_channel=True)
        module = quantised(model, xnnpack_quantizer.XNNPACKQuantizer().set_global(settings), rows)
    else:
        module = model.form("torch")
    program = export(module, model.spec, rows)
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    place = model_folder(model, folder, signature=True)
    (place / "model.pte").write_bytes(lowered.buffer)


def holds(folder: Path) -> Holds:
    """Read what the payload holds."""
    return executorch_holds(model_file(folder, RUNTIMES["executorch"]))


def open(folder: Path, threads: int) -> Session:
    """Load the program into ExecuTorch's runtime, with ``threads`` threads in this process. Raises SlipwayError."""
    return open_behind("executorch", folder, threads)
