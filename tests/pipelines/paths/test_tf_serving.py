"""The tf-serving path: layout, signatures, warm-up file, the compiled variant."""

from __future__ import annotations

import io
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.mnist_cnn import SPEC
from models.spec import BATCH, ImagePreprocessing, TensorSpec
from models.trained import TrainedModel
from pipelines.base.errors import SlipwayError
from pipelines.paths import tf_serving
from pipelines.paths.tf_serving import decode_images
from serving.wire.pictures import to_row


@pytest.fixture(scope="module")
def payloads(cli: Any, trained: TrainedModel) -> dict[str, Path]:
    rows = cli.json("package", trained.name, "tf-serving")["artifacts"]
    assert [row["status"] for row in rows] == ["ok", "ok", "ok"]
    return {row["variant"]: Path(row["folder"]) / "payload" for row in rows if row["variant"] != "litert"}


def test_the_file_of_litert_is_the_model_of_its_version(cli: Any, trained: TrainedModel, payloads: Any) -> None:
    (row,) = cli.json("package", trained.name, "tf-serving:litert")["artifacts"]
    payload = Path(row["folder"]) / "payload"
    files = {str(file.relative_to(payload)) for file in payload.rglob("*") if file.is_file()}
    assert files == {"1/model.tflite", "1/assets.extra/tf_serving_warmup_requests"}
    rows = {"image": trained.evaluation().inputs["image"][:3]}
    found, expected = (tf_serving.open(one, 1).predict(rows)["logits"] for one in (payload, payloads["fp32"]))
    assert np.abs(found - expected).max() < 1e-4


def test_the_layout_is_versioned(payloads: dict[str, Path]) -> None:
    for payload in payloads.values():
        assert [entry.name for entry in payload.iterdir()] == ["1"]
        assert (payload / "1" / "saved_model.pb").is_file()
        assert (payload / "1" / "variables" / "variables.index").is_file()


def test_signatures_have_the_specs_names_and_a_free_batch(payloads: dict[str, Path]) -> None:
    import tensorflow as tf

    signatures = tf.saved_model.load(str(payloads["fp32"] / "1")).signatures
    assert set(signatures) == {"serving_default", "serving_image_bytes"}
    _, inputs = signatures["serving_default"].structured_input_signature
    assert inputs == {"image": tf.TensorSpec((None, 28, 28), tf.float32, name="image")}
    for signature in signatures.values():
        (logits,) = signature.structured_outputs.values()
        assert signature.structured_outputs.keys() == {"logits"}
        assert (logits.shape.as_list(), logits.dtype) == ([None, 10], tf.float32)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "JPEG"])
def test_encoded_pictures_are_decoded_in_the_graph(payloads: dict[str, Path], trained: TrainedModel, kind: str) -> None:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(payloads["fp32"] / "1"))
    rows = np.rint(trained.evaluation().inputs["image"][:3] * 255).astype(np.uint8)
    encoded, decoded = [], []
    for row in rows:
        file = io.BytesIO()
        Image.fromarray(row).convert("RGB" if kind == "BMP" else "L").save(file, kind)
        encoded.append(file.getvalue())
        with Image.open(file) as opened:
            decoded.append(np.asarray(opened.convert("L"), np.float32) / 255)
    from_bytes = loaded.signatures["serving_image_bytes"](image_bytes=tf.constant(encoded))["logits"].numpy()
    from_floats = loaded.signatures["serving_default"](image=tf.constant(np.stack(decoded)))["logits"].numpy()
    # JPEG decoders may round a pixel otherwise; the others are exact.
    assert np.abs(from_bytes - from_floats).max() < (0.2 if kind == "JPEG" else 1e-4)


def test_the_ground_shows_through_a_transparent_picture() -> None:
    import tensorflow as tf

    pixels = np.zeros((28, 28, 4), np.uint8)
    pixels[..., :3] = 200
    pixels[..., 3] = np.arange(28)[:, None] * 9
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    for ground in (0, 255):
        spec = replace(SPEC, preprocessing=replace(SPEC.preprocessing, ground=ground))
        (seen,) = decode_images(tf.constant([file.getvalue()]), spec).numpy() * 255
        alpha = pixels[..., 3] / 255
        assert np.abs(seen - (200 * alpha + ground * (1 - alpha))).max() < 1


@pytest.mark.parametrize("crop", [0.875, None])
@pytest.mark.parametrize("size", [(320, 240), (200, 301), (224, 224), (256, 256), (1, 1), (1_000, 30)])
def test_the_graph_crops_and_scales_as_the_other_paths_do(size: tuple[int, int], crop: float | None) -> None:
    import tensorflow as tf

    rule = ImagePreprocessing(224, 224, 3, 127.0, 128.0, 255, crop)
    image = TensorSpec("image", "float32", (BATCH, 224, 224, 3))
    spec = replace(SPEC, inputs=(image,), preprocessing=rule)
    noise = np.random.default_rng(3).integers(0, 256, (4, 5, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(file, "PNG")
    (in_graph,) = decode_images(tf.constant([file.getvalue()]), spec).numpy()
    outside = to_row(file.getvalue(), asdict(rule), max_pixels=10**6)
    # Pillow rounds after each of two passes, the graph once. Sharp edges differ by more: tests/pipelines/run.
    assert np.abs(in_graph - outside).max() * 128 <= 2


def test_in_process_is_the_servers_call_and_gives_the_documented_functions_answers(
    payloads: dict[str, Path], trained: TrainedModel
) -> None:
    import tensorflow as tf

    rows = trained.evaluation().inputs["image"][:5]
    for payload in payloads.values():
        predict = tf_serving.open(payload, 1).predict
        loaded = tf.saved_model.load(str(payload / "1"))  # a signature does not keep its variables
        documented = loaded.signatures["serving_default"](image=tf.constant(rows))
        answer = predict({"image": rows})
        assert answer.keys() == documented.keys()
        assert np.abs(answer["logits"] - documented["logits"].numpy()).max() < 1e-5
        assert [predict({"image": rows[:n]})["logits"].shape for n in (1, 3)] == [(1, 10), (3, 10)]


def test_what_is_no_saved_model_is_said(payloads: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SlipwayError, match="Could not find SavedModel"):
        tf_serving.open(tmp_path, 1)
    damaged = tmp_path / "damaged" / "1"
    damaged.mkdir(parents=True)
    (damaged / "saved_model.pb").write_bytes((payloads["fp32"] / "1" / "saved_model.pb").read_bytes())
    with pytest.raises(SlipwayError, match="Package the model again"):
        tf_serving.open(damaged.parent, 1)


def test_the_warmup_file_holds_predict_requests(payloads: dict[str, Path]) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    path = payloads["fp32"] / "1" / "assets.extra" / "tf_serving_warmup_requests"
    shapes = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == "mnist_cnn"
        assert request.model_spec.signature_name == "serving_default"
        shapes.append(tf.make_ndarray(request.inputs["image"]).shape)
    assert shapes == [(batch, 28, 28) for batch in tf_serving.WARMUP_BATCHES]


def test_the_xla_variant_is_compiled_and_the_default_is_not(payloads: dict[str, Path]) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    def compiled(payload: Path) -> int:
        saved = saved_model_pb2.SavedModel.FromString((payload / "1" / "saved_model.pb").read_bytes())
        functions = saved.meta_graphs[0].graph_def.library.function
        return sum(function.attr["_XlaMustCompile"].b for function in functions)

    assert compiled(payloads["xla"]) > 0
    assert compiled(payloads["fp32"]) == 0
