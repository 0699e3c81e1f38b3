"""LiteRT (TensorFlow Lite): one .tflite file for phones and small devices, in four precisions."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.holds.tflite import tflite_holds
from pipelines.paths import Card, Session, Tolerance, Variant
from pipelines.paths.behind import model_file, model_folder, open_behind
from pipelines.results import Holds
from serving.open_inference.runtimes import RUNTIMES
from serving.open_inference.runtimes.litert import SIGNATURE

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
        ),
    },
    extra="litert",
    no_server="LiteRT is a library inside an application; it has no server, so it is measured in process",
    sources=(
        *("serving.open_inference.runtimes.litert", "pipelines.paths.behind"),
        *("pipelines.holds.tflite", "pipelines.holds.totals"),
    ),
)


def package(model: Model, folder: Path, variant: str) -> None:
    """Write ``MODEL/model.tflite`` with the signature ``serving_default``: the spec's names, a free batch dimension."""
    path = model_folder(model, folder) / "model.tflite"
    float32 = convert(model, half=variant == "fp16")
    if variant in ("fp32", "fp16"):
        path.write_bytes(float32)
        return
    path.write_bytes(quantise(float32, variant, model))


def convert(model: Model, *, half: bool = False) -> bytes:
    """Return the .tflite file of a model in float32, with weights in float16 if ``half``."""
    import tensorflow as tf

    twin = model.form("keras")
    with tempfile.TemporaryDirectory() as scratch:
        # Through a SavedModel, because its signature's names survive into the flatbuffer.
        twin.export(scratch, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(scratch)
        if half:
            # Only storage changes; LiteRT Quantizer has no fp16 recipe that keeps float32 arithmetic.
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        return bytes(converter.convert())


def quantise(float32: bytes, variant: str, model: Model, of_rows: Callable[[int], bytes] | None = None) -> bytes:
    """Quantise with LiteRT Quantizer, the successor of the quantisation inside the converter.

    ``of_rows`` makes the same network in a file that takes so many rows, if ``float32`` takes one.
    """
    from litert_quantizer import quantizer, recipe
    from litert_quantizer.algorithm_manager import AlgorithmName
    from litert_quantizer.qtyping import TFLOperationName

    recipes = {"int8-dynamic": recipe.dynamic_wi8_afp32, "int8": recipe.static_wi8_ai8}

    def tool(content: bytes) -> Any:
        made = quantizer.Quantizer(bytearray(content))
        made.load_quantization_recipe(recipes[variant]())
        # The signature stays the model's: float32 in, float32 out, quantised inside the graph.
        for door in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
            made.update_quantization_recipe(".*", door, algorithm_key=AlgorithmName.NO_QUANTIZE)
        return made

    # One batch of all rows: over several, the calibrator averages the extremes, and the logits saturate.
    # It keeps all inner values of the batch: 70 MB a picture of EfficientNet-Lite0.
    batch = model.calibration().head(model.spec.max_batch)
    watched = tool(float32 if of_rows is None else of_rows(len(batch)))
    ranges = watched.calibrate({SIGNATURE: [batch.inputs]}, num_threads=1) if watched.need_calibration else None
    return bytes(tool(float32).quantize(ranges).quantized_model)


def holds(folder: Path) -> Holds:
    """Read what the payload holds."""
    return tflite_holds(model_file(folder, RUNTIMES["litert"]))


def open(folder: Path, threads: int) -> Session:
    """Load the flatbuffer into LiteRT's interpreter with ``threads`` threads. Raises SlipwayError."""
    return open_behind("litert", folder, threads)
