"""LiteRT (TensorFlow Lite): one .tflite file for phones and small devices, in four precisions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.holds.tflite import tflite_holds
from pipelines.paths import Card, Session, Tolerance, Variant
from pipelines.paths.behind import model_file, model_folder, open_behind
from pipelines.paths.to_tflite import convert_or_single, quantise
from pipelines.results import Holds
from serving.open_inference.runtimes import RUNTIMES

if TYPE_CHECKING:
    from models.model import Model

CONVERTED = ("tensorflow", "keras", "ai-edge-litert")
QUANTISED = (*CONVERTED, "litert-quantizer")

# Floors below what five seeds of mnist_cnn gave, and above what faults in the network give (28 dB and less):
# float16 68 dB and more, dynamic int8 45, int8 calibrated on 256 rows 36.8. tests/pipelines/paths/test_faults.py.
CARD = Card(
    name="litert",
    title="LiteRT (TensorFlow Lite)",
    variants={
        "fp32": Variant("flatbuffer, float32", "keras", CONVERTED),
        "fp16": Variant(
            "weights in float16, computed in float32",
            "keras",
            CONVERTED,
            Tolerance(min_sqnr_db=60),
            precision="fp16",
        ),
        "int8-dynamic": Variant(
            "weights in int8, activations quantised as they come",
            "keras",
            QUANTISED,
            Tolerance(min_sqnr_db=40, min_top1=0.98),
            precision="int8-dynamic",
        ),
        "int8": Variant(
            "weights and activations in int8, calibrated on training data",
            "keras",
            QUANTISED,
            Tolerance(min_sqnr_db=33, min_top1=0.98, judges_random=False),
            precision="int8",
            memory_gb=3.0,
        ),
    },
    extra="litert",
    no_server="LiteRT is a library inside an application; it has no server, so it is measured in process",
    sources=(
        *("serving.open_inference.runtimes.litert", "pipelines.paths.behind"),
        *("pipelines.paths.to_tflite", "pipelines.holds.tflite", "pipelines.holds.totals"),
    ),
)


def package(model: Model, folder: Path, variant: str) -> None:
    """Write ``MODEL/model.tflite`` with the signature ``serving_default``: the spec's names, a free batch dimension.

    A network with loops is written for one row, and the runtime calls it row by row.
    """
    path = model_folder(model, folder) / "model.tflite"
    content, of_rows = convert_or_single(model, half=variant == "fp16")
    if variant.startswith("int8"):
        content = quantise(content, variant, model, of_rows)
    path.write_bytes(content)


def holds(folder: Path) -> Holds:
    """Read what the payload holds."""
    return tflite_holds(model_file(folder, RUNTIMES["litert"]))


def open(folder: Path, threads: int) -> Session:
    """Load the flatbuffer into LiteRT's interpreter with ``threads`` threads. Raises SlipwayError."""
    return open_behind("litert", folder, threads)
