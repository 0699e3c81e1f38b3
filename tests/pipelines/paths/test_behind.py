"""Payloads of the paths behind the Open Inference server, and how they are opened."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.trained import TrainedModel
from pipelines.base.errors import SlipwayError
from pipelines.paths import path_module
from serving.open_inference.runtimes import RUNTIMES, find_model, runtime_of

PATHS = {
    "torch-export": ["model.pt2"],
    "executorch": ["model.pte"],
    "openvino": ["model.bin", "model.xml"],
    "aotinductor": ["model.aoti.pt2"],
}
HEAVY = {"torch", "tensorflow", "keras", "onnx", "onnxruntime", "openvino", "nncf", "executorch", "kserve", "numpy"}


@pytest.fixture(scope="module", params=PATHS)
def packaged(request: pytest.FixtureRequest, packaged_once: Callable[[str], Path]) -> tuple[str, Path]:
    return request.param, packaged_once(f"{request.param}:fp32")


def test_the_files_have_nothing_of_this_machine(packaged: tuple[str, Path]) -> None:
    name, folder = packaged
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    signature = [] if name == "openvino" else ["signature.json"]
    assert files == [f"mnist_cnn/{file}" for file in (*PATHS[name], *signature)]
    content = b"".join((folder / file).read_bytes() for file in files)
    assert b"torch_net.py" not in content
    assert str(Path.cwd() / "models").encode() not in content
    found = find_model(folder / "mnist_cnn")
    assert found is not None
    assert runtime_of(found) == name


def test_the_same_model_gives_the_same_bytes(packaged: tuple[str, Path], trained: TrainedModel, tmp_path: Path) -> None:
    name, folder = packaged
    if name == "aotinductor":
        return  # its compiler writes the names of temporary folders into the library
    path_module(name).package(trained, tmp_path, "fp32")
    for file in PATHS[name]:
        assert (tmp_path / "mnist_cnn" / file).read_bytes() == (folder / "mnist_cnn" / file).read_bytes()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rows", [1, 2, 16, 128])
def test_it_computes_what_the_trained_model_does(
    packaged: tuple[str, Path], trained: TrainedModel, rows: int, threads: int
) -> None:
    name, folder = packaged
    inputs = {"image": trained.evaluation().inputs["image"][:rows]}
    with path_module(name).open(folder, threads) as session:
        before = session.predict(inputs)["logits"]
        kept = before.copy()
        session.predict({"image": 1 - inputs["image"]})
        assert np.array_equal(before, kept)  # an answer is not overwritten by the next one
    assert np.abs(before - trained.reference(inputs)["logits"]).max() <= 1e-4


@pytest.mark.parametrize("path", PATHS)
def test_reading_the_card_imports_no_framework(path: str) -> None:
    code = f"import sys, pipelines.paths; pipelines.paths.path_module({path!r}); assert not {HEAVY} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("path", PATHS)
def test_a_folder_without_a_model_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(SlipwayError, match=r"must hold the file of one model. Received: 0"):
        path_module(path).open(tmp_path, 1)


@pytest.mark.parametrize("packaged", ["torch-export", "executorch"], indirect=True)  # OpenVINO's file has the names
def test_a_program_without_its_signature_is_refused(packaged: tuple[str, Path], tmp_path: Path) -> None:
    name, folder = packaged
    place = tmp_path / "mnist_cnn"
    place.mkdir()
    for file in PATHS[name]:
        (place / file).write_bytes((folder / "mnist_cnn" / file).read_bytes())
    with pytest.raises(SlipwayError, match=r"signature.json cannot be read"):
        path_module(name).open(tmp_path, 1)
    (place / "signature.json").write_text(json.dumps({"inputs": [{"name": "image"}]}))
    with pytest.raises(SlipwayError, match=r"signature.json cannot be read"):
        path_module(name).open(tmp_path, 1)


def test_an_ending_names_one_runtime() -> None:
    for name, files in RUNTIMES.items():
        assert {runtime_of(Path(file.replace("model", "my.own"))) for file in files} == {name}
    assert runtime_of(Path("model.gguf")) is None
