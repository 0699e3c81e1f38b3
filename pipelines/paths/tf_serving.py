"""TensorFlow Serving: a SavedModel in the versioned layout, with warm-up requests."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.model import NoSamples, NotThisForm
from pipelines.base.errors import SlipwayError
from pipelines.holds.saved_model import saved_model_holds
from pipelines.holds.tflite import tflite_holds
from pipelines.paths import Arrays, Card, Session, Variant
from pipelines.paths.to_tflite import convert
from pipelines.results import Holds

if TYPE_CHECKING:
    import numpy as np

    from models.model import Model
    from models.spec import ImagePreprocessing, ModelSpec

REQUIRES = ("tensorflow", "keras", "tensorflow-serving-api", "httptools", "pysimdjson")

CARD = Card(
    name="tf-serving",
    title="TensorFlow Serving (SavedModel)",
    variants={
        "fp32": Variant("SavedModel, float32", "keras", REQUIRES, also=("saved_model",), texts=True),
        "xla": Variant("SavedModel, float32, the forward pass compiled by XLA", "keras", REQUIRES),
        "litert": Variant("a .tflite file in its place, run by LiteRT", "keras", (*REQUIRES, "ai-edge-litert")),
    },
    extra="tf-serving",
    server="serving.tf_serving.recipe",
    container="serving.tf_serving.container",
    protocols=("tf-serving-rest", "tf-serving-grpc"),
    not_spoken={
        "tf-serving-rest-binary": "TensorFlow Serving's REST API has no binary tensors: numbers are JSON, and only "
        "strings may be base64"
    },
    sources=(
        *("serving.tf_serving.runtime.saved_model", "serving.tf_serving.runtime.tflite"),
        *("pipelines.holds.saved_model", "pipelines.holds.tflite", "pipelines.holds.totals"),
        "pipelines.paths.to_tflite",
    ),
)

VERSION = "1"
SIGNATURE = "serving_default"
IMAGE_SIGNATURE = "serving_image_bytes"
WARMUP_BATCHES = (1, 16)
PNG = b"\x89PNG"
LUMA = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in grey: ITU-R BT.601, as in Pillow's mode L."""


def package(model: Model, folder: Path, variant: str) -> None:
    """Write ``1/saved_model.pb`` with its variables and warm-up file, or ``1/model.tflite`` in its place.

    Signatures: ``serving_default`` takes the spec's inputs as they are; ``serving_image_bytes``, of a
    model for pictures, takes ``image_bytes``, a string (N,) of encoded pictures (PNG, JPEG, GIF, or BMP of 24 bits),
    decodes and preprocesses them in the graph, and gives the same outputs.
    """
    import tensorflow as tf
    from keras.export import ExportArchive

    from serving.tf_serving.runtime import saved_model, tflite

    if variant == "litert":
        (folder / VERSION).mkdir()
        (folder / VERSION / tflite.MODEL_FILE).write_bytes(convert(model))
        write_warmup(model, folder / VERSION / "assets.extra" / "tf_serving_warmup_requests")
        return
    if "keras" not in model.forms:
        shutil.copytree(model.form("saved_model"), folder / VERSION)  # as it is
        if SIGNATURE not in saved_model.definitions(folder / VERSION):
            raise NotThisForm(f"a SavedModel is served as it is by its signature {SIGNATURE}, which it does not have")
        write_warmup(model, folder / VERSION / "assets.extra" / "tf_serving_warmup_requests")
        return
    twin = model.form("keras")
    names = [tensor.name for tensor in model.spec.inputs]

    def forward(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(twin(dict(zip(names, inputs, strict=True)), training=False))

    compiled = tf.function(forward, jit_compile=True) if variant == "xla" else forward
    archive = ExportArchive()
    archive.track(twin)
    archive.add_endpoint(
        SIGNATURE,
        compiled,
        input_signature=[
            tf.TensorSpec(tensor.sizes, tf.string if tensor.dtype == "str" else tensor.dtype, name=tensor.name)
            for tensor in model.spec.inputs
        ],
    )
    if model.spec.picture is not None:
        archive.add_endpoint(
            IMAGE_SIGNATURE,
            lambda image_bytes: compiled(decode_images(image_bytes, model.spec)),
            input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")],
        )
    archive.write_out(str(folder / VERSION), verbose=False)
    write_warmup(model, folder / VERSION / "assets.extra" / "tf_serving_warmup_requests")


def decode_images(image_bytes: Any, spec: ModelSpec) -> Any:
    """Decode a string tensor (N,) of encoded pictures into the model's float tensor, in the graph."""
    import tensorflow as tf

    rule = spec.picture
    assert rule is not None  # noqa: S101 - the caller has looked

    def transparent(encoded: tf.Tensor) -> tf.Tensor:
        pixels = tf.cast(tf.io.decode_png(encoded, channels=4), tf.float32)
        alpha = pixels[..., 3:] / 255.0
        return tf.round(pixels[..., :3] * alpha + rule.ground * (1.0 - alpha))

    def opaque(encoded: tf.Tensor) -> tf.Tensor:
        # Three channels from every format: TensorFlow's GIF and BMP decoders support no other number.
        return tf.cast(tf.io.decode_image(encoded, channels=3, expand_animations=False), tf.float32)

    def decode_one(encoded: tf.Tensor) -> tf.Tensor:
        is_png = tf.strings.substr(encoded, 0, len(PNG)) == PNG
        pixels = tf.cond(is_png, lambda: transparent(encoded), lambda: opaque(encoded))
        pixels.set_shape((None, None, 3))
        if rule.channels == 1:
            pixels = tf.round(tf.tensordot(pixels, LUMA, 1))[..., tf.newaxis]
        # In whole steps of 0..255, as Pillow does it; a picture of the right size is unchanged. EXIF turns nothing.
        resized = tf.image.resize(cropped(pixels, rule), (rule.height, rule.width), method="bicubic", antialias=True)
        values = (tf.clip_by_value(tf.round(resized), 0.0, 255.0) - rule.offset) / rule.scale
        return values[..., 0] if rule.channels == 1 else values

    shape = spec.inputs[0].sizes[1:]
    return tf.map_fn(decode_one, image_bytes, fn_output_signature=tf.TensorSpec(shape, spec.inputs[0].dtype))


def cropped(pixels: Any, rule: ImagePreprocessing) -> Any:
    """Cut the centre out of a picture (height, width, channels), in the graph, as serving.wire.pictures does."""
    import tensorflow as tf

    from serving.wire.pictures import ROUNDED

    height, width = tf.unstack(tf.shape(pixels)[:2])
    # In float64, as Python computes it: the same number of pixels.
    down, across = tf.cast(height, tf.float64), tf.cast(width, tf.float64)
    proportion = rule.width / rule.height
    sides = tf.minimum(down, across / proportion), tf.minimum(across, down * proportion)
    rows, columns = (tf.maximum(1, tf.cast((rule.crop or 1.0) * side + ROUNDED, tf.int32)) for side in sides)
    top, left = (height - rows + 1) // 2, (width - columns + 1) // 2
    return tf.image.crop_to_bounding_box(pixels, top, left, rows, columns)


def write_warmup(model: Model, path: Path) -> None:
    """Write Predict requests as the PredictionLog records that TF Serving replays before it serves.

    Source: https://www.tensorflow.org/tfx/serving/saved_model_warmup
    """
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        inputs = model.calibration().inputs
    except NoSamples:
        inputs = model.spec.draw(max(WARMUP_BATCHES), {name: low for name, (low, _) in model.spec.lengths.items()}, 0)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for batch in WARMUP_BATCHES:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model.name
            request.model_spec.signature_name = SIGNATURE
            for name, array in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(array[:batch]))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())


def holds(folder: Path) -> Holds:
    """Read what the payload holds."""
    file = folder / VERSION / "model.tflite"
    return tflite_holds(file) if file.is_file() else saved_model_holds(folder / VERSION)


def open(folder: Path, threads: int) -> Session:
    """Open the SavedModel's ``serving_default`` in a session, as TensorFlow Serving does: the very call of the server.

    So the verified call is the served call, and any extra cost is the server's.
    ``tf.saved_model.load``'s function takes twice the time, and another thread.
    A .tflite file is opened in one interpreter of LiteRT.

    Raises SlipwayError for a folder without a model that has this signature.
    """
    from serving.tf_serving.base.errors import ServingError
    from serving.tf_serving.runtime import saved_model, tflite

    place = folder / VERSION
    try:
        if (place / tflite.MODEL_FILE).is_file():
            interpreters = tflite.Interpreters(place / tflite.MODEL_FILE, 1, threads)
            definition = tflite.definitions(interpreters)[SIGNATURE]
            run = tflite.runner(interpreters, SIGNATURE)
        else:
            definition = saved_model.definitions(place)[SIGNATURE]
            run = saved_model.runner(saved_model.load_session(place, saved_model.Parallelism(threads)), definition)
    except KeyError as error:
        raise SlipwayError(f"{place} has no signature {SIGNATURE}. Package the model again.") from error
    except ServingError as error:
        raise SlipwayError(f"{error}. Package the model again.") from error
    names = tuple(definition.outputs)

    def predict(inputs: Arrays) -> dict[str, np.ndarray]:
        return run(inputs, names)

    return Session(predict)
