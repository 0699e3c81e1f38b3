"""OpenVINO: each artifact is computed in the precision that it names, whatever the processor would choose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from lacking import skipped_for_want

from models.trained import TrainedModel
from pipelines.base.errors import NotPossible, SlipwayError
from pipelines.paths import openvino

ABLE = {"fp32": ["FP32"], "fp16": ["FP32", "FP16"], "bf16": ["FP32", "BF16"], "int8": ["FP32", "INT8"]}


@pytest.fixture(scope="module", params=list(openvino.CARD.variants))
def packaged(request: pytest.FixtureRequest, packaged_once: Callable[[str], Path]) -> tuple[str, Path]:
    with skipped_for_want():
        return request.param, packaged_once(f"openvino:{request.param}")


def test_the_precision_stands_in_the_artifact(packaged: tuple[str, Path]) -> None:
    variant, folder = packaged
    network = ET.fromstring((folder / "mnist_cnn" / "model.xml").read_text())  # noqa: S314 - written just now
    (found,) = network.iterfind("rt_info/slipway/inference_precision")
    assert found.get("value") == openvino.HINTS[variant]
    types = {layer.get("type") for layer in network.iter("layer")}
    assert ("FakeQuantize" in types) == (variant == "int8")
    constants = {
        layer.find("data").get("element_type") for layer in network.iter("layer") if layer.get("type") == "Const"
    }
    assert ("f16" in constants) == (variant == "fp16")
    assert ("i8" in constants) == (variant == "int8")


def test_the_runtime_computes_in_that_precision(packaged: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings that the compiled network reports, not those that were asked for."""
    import openvino as library

    variant, folder = packaged
    compiled = []
    compile_model = library.Core.compile_model

    def noted(core: library.Core, *words: object) -> library.CompiledModel:
        compiled.append(compile_model(core, *words))
        return compiled[-1]

    monkeypatch.setattr(library.Core, "compile_model", noted)
    with openvino.open(folder, 1):
        (network,) = compiled
        assert network.get_property("INFERENCE_PRECISION_HINT").to_string() == openvino.HINTS[variant]
        assert network.get_property("INFERENCE_NUM_THREADS") == 1


@pytest.mark.parametrize("variant", ["fp16", "bf16"])
def test_a_processor_without_the_precision_skips_the_variant(
    variant: str, trained: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino as library

    monkeypatch.setattr(library.Core, "get_property", lambda *_words: ["FP32", "INT8"])
    with pytest.raises(NotPossible, match=r"this processor does not compute in b?f16. It can: FP32, INT8"):
        openvino.package(trained, tmp_path, variant)


def test_an_artifact_of_another_processor_is_refused(
    packaged: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino as library

    variant, folder = packaged
    monkeypatch.setattr(library.Core, "get_property", lambda *_words: ["FP32"])
    if openvino.HINTS[variant] == "f32":
        openvino.open(folder, 1).close()
        return
    with pytest.raises(SlipwayError, match=r"this processor does not compute in b?f16. It can: FP32"):
        openvino.open(folder, 1)


def test_int8_weights_have_seven_bits(packaged_once: Callable[[str], Path]) -> None:
    """Without VNNI, a processor adds two products in 16 bits, which weights of eight bits overflow."""
    import openvino as library

    network = library.Core().read_model(packaged_once("openvino:int8") / "mnist_cnn" / "model.xml")
    weights = [
        operation.get_data()
        for operation in network.get_ops()
        if operation.get_type_name() == "Constant" and operation.get_element_type() == library.Type.i8
    ]
    assert len(weights) == 4
    assert max(int(abs(one.astype(int)).max()) for one in weights) <= 64
