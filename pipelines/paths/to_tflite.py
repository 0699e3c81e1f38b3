"""Converts a Keras model to a .tflite file, and quantises such files: what several paths share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from serving.open_inference.runtimes.litert import SIGNATURE

LISTS = "TensorList"

if TYPE_CHECKING:
    from models.model import Model
    from models.spec import ModelSpec


def convert(model: Model, *, half: bool = False) -> bytes:
    """Return the .tflite file of a model in float32, with weights in float16 if ``half``."""
    return convert_twin(model.form("keras"), model.spec, half=half)


def convert_or_single(model: Model, *, half: bool = False) -> tuple[bytes, Callable[[int], bytes] | None]:
    """Return the .tflite file of a model as :func:`convert` does, or for one row a call, if it has loops.

    TensorFlow keeps the steps of a recurrent layer in lists, whose elements LiteRT wants to have one size. What comes
    with a file for one row makes the same network for more rows.
    """
    from tensorflow.lite.python.convert_phase import ConverterError

    twin = model.form("keras")
    try:
        return convert_twin(twin, model.spec, half=half), None
    except ConverterError as error:
        if LISTS not in str(error):
            raise
    return (
        convert_twin(twin, model.spec, half=half, rows=1),
        lambda rows: convert_twin(twin, model.spec, rows=rows),
    )


def convert_twin(twin: Any, spec: ModelSpec, *, half: bool = False, rows: int | None = None) -> bytes:
    """Return the .tflite file of a Keras model, as :func:`convert` does, for batches of ``rows`` or of any size.

    The tensors of two files of one object have the same names.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as scratch:
        # Through a SavedModel, because its signature's names survive into the flatbuffer.
        if rows is None:
            twin.export(scratch, verbose=False)
        else:
            _export_static(twin, spec, rows, scratch)
        converter = tf.lite.TFLiteConverter.from_saved_model(scratch)
        if half:
            # Only storage changes; LiteRT Quantizer has no fp16 recipe that keeps float32 arithmetic.
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        return bytes(converter.convert())


def _export_static(twin: Any, spec: ModelSpec, rows: int, folder: str) -> None:
    """Write a SavedModel that takes ``rows`` rows. Free lengths stay free."""
    import keras
    import tensorflow as tf

    signature = {
        tensor.name: tf.TensorSpec((rows, *tensor.sizes[1:]), tensor.dtype, name=tensor.name) for tensor in spec.inputs
    }
    archive = keras.export.ExportArchive()
    archive.track(twin)
    archive.add_endpoint(SIGNATURE, lambda inputs: twin(inputs, training=False), input_signature=[signature])
    archive.write_out(folder, verbose=False)


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
