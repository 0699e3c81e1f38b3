"""ONNX models: equal to the trained model, checked, self-contained, with the spec's names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import onnx
import pytest

from models.trained import TrainedModel
from pipelines.base.errors import SlipwayError, UserError
from pipelines.paths import onnxruntime, path_module

EXACT = {"pytorch": "model.onnx", "keras": "model.onnx", "ort": "model.ort"}
"""The variants that compute in float32, and their files."""


@pytest.fixture(scope="module", params=list(onnxruntime.CARD.variants))
def packaged(request: pytest.FixtureRequest, packaged_once: Callable[[str], Path]) -> tuple[str, Path]:
    return request.param, packaged_once(f"onnxruntime:{request.param}")


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
    variant, folder = packaged
    inputs = {"image": images[:rows]}
    outputs = onnxruntime.open(folder, threads).predict(inputs)
    assert list(outputs) == ["logits"]
    assert outputs["logits"].dtype == np.float32
    assert np.abs(outputs["logits"] - trained.reference(inputs)["logits"]).max() <= (1e-4 if variant in EXACT else 3)


def test_one_file_with_the_specs_names_and_nothing_of_this_machine(packaged: tuple[str, Path]) -> None:
    variant, folder = packaged
    name = EXACT.get(variant, "model.onnx")
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()] == [
        f"mnist_cnn/{name}"
    ]
    content = (folder / "mnist_cnn" / name).read_bytes()
    assert b"torch_net.py" not in content
    assert str(Path.cwd()).encode() not in content
    if variant == "ort":
        return
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"image": ["batch", 28, 28], "logits": ["batch", 10]}
    assert not [tensor for tensor in model.graph.initializer if tensor.external_data]


@pytest.mark.parametrize("variant", ["pytorch", "fp16", "int8"])  # ort: its writer's order is that of memory addresses
def test_the_same_model_gives_the_same_bytes(
    trained: TrainedModel, packaged_once: Callable[[str], Path], tmp_path: Path, variant: str
) -> None:
    onnxruntime.package(trained, tmp_path, variant)
    first, second = (
        folder / "mnist_cnn" / "model.onnx" for folder in (packaged_once(f"onnxruntime:{variant}"), tmp_path)
    )
    assert first.read_bytes() == second.read_bytes()


def graph_of(folder: Path) -> tuple[onnx.GraphProto, dict[str, onnx.TensorProto]]:
    """The graph in a payload, and its initializers by name."""
    graph = onnx.load(folder / "mnist_cnn" / "model.onnx").graph
    return graph, {one.name: one for one in graph.initializer}


def test_fp16_holds_no_float32(packaged_once: Callable[[str], Path]) -> None:
    _, held = graph_of(packaged_once("onnxruntime:fp16"))
    types = {one.data_type for one in held.values()}
    assert onnx.TensorProto.FLOAT16 in types
    assert onnx.TensorProto.FLOAT not in types


def test_int8_has_signed_weights_by_channel_and_unsigned_activations(packaged_once: Callable[[str], Path]) -> None:
    graph, held = graph_of(packaged_once("onnxruntime:int8"))
    weights = {name: one for name, one in held.items() if one.data_type == onnx.TensorProto.INT8 and len(one.dims) == 4}
    assert weights
    for name, weight in weights.items():
        scale = held[name.removesuffix("_quantized") + "_scale"]
        assert list(scale.dims) == [weight.dims[0]]
        # Seven bits: without VNNI, the sum of two products with eight would overflow 16 bits.
        assert np.abs(onnx.numpy_helper.to_array(weight).astype(int)).max() <= 64
    points = {node.input[2] for node in graph.node if node.op_type == "QuantizeLinear"}
    assert {held[name].data_type for name in points} == {onnx.TensorProto.UINT8}


def test_calibration_never_sees_the_test_data(
    trained: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: TrainedModel) -> NoReturn:
        raise AssertionError("calibration looked at the test data")

    monkeypatch.setattr(TrainedModel, "evaluation", refuse)
    onnxruntime.package(trained, tmp_path, "int8")


def test_ort_holds_nothing_that_fits_one_processor_only(packaged_once: Callable[[str], Path]) -> None:
    """The layout NCHWc is that of the processor on which a model is optimised; its operators have a domain."""
    file = packaged_once("onnxruntime:ort") / "mnist_cnn" / "model.ort"
    assert b"com.microsoft.nchwc:" not in file.read_bytes()


def test_an_unknown_variant_is_refused(trained: TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown variant of onnxruntime: 'torch'. Did you mean pytorch\?"):
        onnxruntime.package(trained, tmp_path, "torch")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SlipwayError, match=r"the file of one model. Received: 0"):
        onnxruntime.open(tmp_path, 1)
