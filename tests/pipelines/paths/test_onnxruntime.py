"""ONNX models: equal to the trained model, checked, self-contained, with the spec's names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from models.trained import TrainedModel
from pipelines.base.errors import SlipwayError, UserError
from pipelines.paths import onnxruntime, path_module


@pytest.fixture(scope="module", params=list(onnxruntime.CARD.variants))
def packaged(
    request: pytest.FixtureRequest, trained: TrainedModel, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    onnxruntime.package(trained, folder, request.param)
    return request.param, folder


@pytest.fixture(scope="module")
def images(trained: TrainedModel) -> np.ndarray:
    return trained.evaluation().inputs["image"][:16]


def test_the_card() -> None:
    assert path_module("onnxruntime").CARD is onnxruntime.CARD
    assert all(variant.missing() == [] for variant in onnxruntime.CARD.variants.values())
    assert next(iter(onnxruntime.CARD.variants)) == "pytorch"


def test_reading_the_card_imports_no_framework() -> None:
    heavy = {"torch", "tensorflow", "keras", "onnx", "onnxruntime", "kserve"}
    code = f"import sys, pipelines.paths.onnxruntime; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 16])
def test_it_computes_what_the_trained_model_does(
    packaged: tuple[str, Path], trained: TrainedModel, images: np.ndarray, rows: int, threads: int
) -> None:
    _, folder = packaged
    inputs = {"image": images[:rows]}
    outputs = onnxruntime.load(folder, threads)(inputs)
    assert list(outputs) == ["logits"]
    assert np.abs(outputs["logits"] - trained.reference(inputs)["logits"]).max() <= 1e-4


def test_one_file_with_the_specs_names_and_nothing_of_this_machine(packaged: tuple[str, Path]) -> None:
    _, folder = packaged
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()] == [
        "mnist_cnn/model.onnx"
    ]
    content = (folder / "mnist_cnn" / "model.onnx").read_bytes()
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"image": ["batch", 28, 28], "logits": ["batch", 10]}
    assert not [tensor for tensor in model.graph.initializer if tensor.external_data]
    assert b"torch_net.py" not in content
    assert str(Path.cwd()).encode() not in content


def test_the_same_model_gives_the_same_bytes(trained: TrainedModel, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        onnxruntime.package(trained, tmp_path / name, "pytorch")
    first, second = (tmp_path / name / "mnist_cnn" / "model.onnx" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_an_unknown_variant_is_refused(trained: TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown variant of onnxruntime: 'torch'. Did you mean pytorch\?"):
        onnxruntime.package(trained, tmp_path, "torch")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SlipwayError, match=r"one MODEL/model.onnx. Received: 0"):
        onnxruntime.load(tmp_path, 1)
