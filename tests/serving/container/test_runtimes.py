"""The Open Inference server's image of another runtime than ONNX Runtime: chosen by the model's file, built, asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.trained import TrainedModel
from pipelines.paths import openvino
from serving.clients import Target, client
from serving.clients.transport import send
from serving.container.recipe import Image
from serving.container.server import serve_container
from serving.launch import LaunchError, LaunchRequest, free_ports
from serving.open_inference.container import container
from serving.open_inference.runtimes import RUNTIMES

DOCKERFILE = "serving/open_inference/Dockerfile"


def request(payload: Path, file: str) -> LaunchRequest:
    (payload / "m").mkdir()
    (payload / "m" / file).touch()
    return LaunchRequest("m", payload, payload, 0, 0)


@pytest.mark.parametrize("name", RUNTIMES)
def test_the_file_chooses_the_image(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = RUNTIMES[name][-1]
    suffix = "" if name == "onnxruntime" else f"-{name}"
    variable = f"OPEN_INFERENCE{suffix}_IMAGE".replace("-", "_").upper()
    monkeypatch.delenv(variable, raising=False)
    made = container(request(tmp_path, file))
    assert made.image == Image(f"slipway/open-inference{suffix}", variable, DOCKERFILE, (f"RUNTIME={name}",))
    assert f"--model_path=/mnt/models/m/{file}" in made.command
    assert made.memory in ("512Mi", "1024Mi")
    monkeypatch.setenv(variable, "registry/of-mine:1")
    assert container(LaunchRequest("m", tmp_path, tmp_path, 0, 0)).image == Image("registry/of-mine:1", variable)


def test_without_a_file_there_is_no_container(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="no file that a runtime loads"):
        container(LaunchRequest("m", tmp_path, tmp_path, 0, 0))


@pytest.mark.docker
@pytest.mark.timeout(900)  # where nothing is in the engine's cache, an image takes a minute and more
@pytest.mark.usefixtures("nothing_left", "no_container_left")
def test_the_image_of_openvino_answers_as_in_process(
    trained: TrainedModel, built_image: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = tmp_path / "payload"
    payload.mkdir()
    openvino.package(trained, payload, "fp32")
    built = built_image("open_inference", "RUNTIME=openvino")
    monkeypatch.setenv("OPEN_INFERENCE_OPENVINO_IMAGE", built)
    inputs = {"image": trained.evaluation().inputs["image"][:5]}
    expected = openvino.open(payload, 1).predict(inputs)["logits"]
    launch = LaunchRequest(trained.name, payload, tmp_path, *free_ports(2))
    with serve_container(lambda: container(launch), tmp_path, print) as server:
        assert server.image.name == built
        assert server.run("python", "-c", "import onnxruntime")[0] != 0  # one runtime an image
        for protocol, url in server.recipe.endpoints.items():
            codec, target = client(protocol), Target(url, trained.name, {"logits": "float32"})
            body = codec.encode(target, inputs)
            answer = codec.decode(target, send(codec.call(target, body), body))
            assert np.array_equal(answer["logits"], expected), protocol
