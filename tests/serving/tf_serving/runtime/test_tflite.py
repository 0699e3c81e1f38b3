"""--prefer_tflite_model: case K11, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from serving.tf_serving.base.errors import ServingError
from serving.tf_serving.runtime.servable import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models with one folder each: ``signed`` and ``unsigned`` have a model.tflite, ``broken`` a damaged one, ``both``
    the signed one and a SavedModel that adds 30."""
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self, plus: float) -> None:
            self.plus = plus

        @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, name="x")])
        def predict(self, x):
            return {"y": 0.5 * x + self.plus}

        @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, name="x2")])
        def other(self, x2):
            return {"y3": 0.5 * x2 + self.plus + 1.0}

    root = tmp_path_factory.mktemp("tflite")
    for name, plus in (("from", 2.0), ("both/1", 30.0)):
        model = Model(plus)
        signatures = {"serving_default": model.predict, "other": model.other}
        tf.saved_model.save(model, str(root / name), signatures=signatures)
    signed = tf.lite.TFLiteConverter.from_saved_model(str(root / "from")).convert()
    model = Model(2.0)
    concrete = model.predict.get_concrete_function()
    unsigned = tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()
    for name, content in (("signed", signed), ("unsigned", unsigned), ("broken", signed[:100]), ("both", signed)):
        (root / name / "1").mkdir(parents=True, exist_ok=True)
        (root / name / "1" / "model.tflite").write_bytes(content)
    names = ("signed", "unsigned", "broken", "both")
    entries = [f'config {{ name: "{n}" base_path: "{root}/{n}" model_platform: "tensorflow" }}' for n in names]
    (root / "config").write_text(f"model_config_list {{ {' '.join(entries)} }}")
    return root


@pytest.fixture(scope="module")
def served(folder: Path, run_server, tmp_path_factory) -> Iterator:
    flags = (f"--model_config_file={folder}/config", "--prefer_tflite_model", "--max_num_load_retries=0")
    with run_server(tmp_path_factory.mktemp("server"), folder, "both", *flags) as running:
        yield running


@pytest.mark.parametrize("case", ["K11"])
def test_half_plus_two_over_grpc(served, case):
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "signed"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32([[1.0], [2.0]])))
    with served.channel() as channel:
        response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30)
    assert list(response.outputs["y"].float_val) == [2.5, 3.0]
    assert response.model_spec.version.value == 1


@pytest.mark.parametrize(
    ("model", "sent", "expected"),
    [
        ("signed", {"instances": [[1.0], [2.0], [3.0]]}, {"predictions": [[2.5], [3.0], [3.5]]}),
        ("signed", {"inputs": {"x2": [[1.0]]}, "signature_name": "other"}, {"outputs": [[3.5]]}),
        ("both", {"instances": [[1.0]]}, {"predictions": [[2.5]]}),
    ],
)
def test_over_rest(served, model, sent, expected):
    assert served.json(f"/v1/models/{model}:predict", json.dumps(sent)) == (200, expected)


def test_a_file_without_signatures_gets_a_default_one(served):
    status, body = served.json("/v1/models/unsigned/metadata")
    definition = body["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert status == 200
    ((name, tensor),) = definition["inputs"].items()
    assert (tensor["dtype"], [dim["size"] for dim in tensor["tensor_shape"]["dim"]]) == ("DT_FLOAT", ["-1", "1"])
    sent = json.dumps({"inputs": {name: [[4.0], [5.0]]}})
    assert served.json("/v1/models/unsigned:predict", sent) == (200, {"outputs": [[4.0], [4.5]]})


def test_requests_of_many_sizes_at_the_same_time(served):
    def ask(number: int) -> bool:
        sent = {"instances": [[float(row)] for row in range(number % 7 + 1)]}
        expected = {"predictions": [[0.5 * row + 2.0] for row in range(number % 7 + 1)]}
        return served.json("/v1/models/signed:predict", json.dumps(sent)) == (200, expected)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(80)))


@pytest.mark.parametrize("x", [1.0, [[1.0, 2.0, 3.0]], [[[1.0]]]])
def test_a_wrong_shape_is_the_request_s_fault(served, x):
    status, body = served.json("/v1/models/signed:predict", json.dumps({"inputs": x}))
    assert status in (200, 400), body  # LiteRT computes what its kernels can
    assert status == 400 or body["outputs"] == (np.array(x) * 0.5 + 2).tolist()
    assert served.json("/v1/models/signed:predict", '{"inputs": [[1.0]]}') == (200, {"outputs": [[2.5]]})


def test_a_damaged_file_fails_to_load_and_leaves_the_others(served):
    _, body = served.json("/v1/models/broken")
    assert body["model_version_status"][0]["state"] == "END"
    assert body["model_version_status"][0]["status"]["error_code"] == "INVALID_ARGUMENT"


def test_without_the_flag_a_tflite_file_is_not_looked_at(folder):
    servable = load("both", 1, folder / "both/1")
    assert servable.signature("").run({"x": np.float32([[0.0]])}, ["y"])["y"].tolist() == [[30.0]]
    with pytest.raises(ServingError, match="Could not find SavedModel"):
        load("signed", 1, folder / "signed/1")


def test_a_free_length_may_be_longer_than_1_at_the_least(tmp_path: Path) -> None:
    """A convolution of 3x3 has no answer to one pixel, which a free height and width are when a file is opened."""
    import tensorflow as tf

    from serving.open_inference.runtimes import litert
    from serving.tf_serving.runtime import tflite

    kernel = tf.constant(np.random.default_rng(1).normal(size=(3, 3, 3, 2)).astype(np.float32))

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, name="x")])
        def predict(self, x):
            return {"y": tf.reduce_mean(tf.nn.conv2d(x, kernel, 1, "VALID"), (1, 2))}

    model, file = Model(), tmp_path / "model.tflite"
    tf.saved_model.save(model, str(tmp_path / "saved"), signatures=model.predict)
    file.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert())
    pictures = np.random.default_rng(2).random((2, 5, 7, 3), np.float32)
    expected = model.predict(pictures)["y"].numpy()
    (found,) = litert.load(file, 1).run({"x": pictures}, ["y"])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    run = tflite.runner(tflite.Interpreters(file, 1, 1), "serving_default")
    np.testing.assert_allclose(run({"x": pictures}, ["y"])["y"], expected, atol=1e-5)
