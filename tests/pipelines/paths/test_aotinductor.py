"""AOTInductor packages: threads as told, no compiler where they run, refused by another kind of processor, served."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cxx import NEEDS_COMPILER
from other_processor import for_another

from models.trained import TrainedModel
from pipelines.base.errors import NotPossible, SlipwayError, UserError
from pipelines.paths import aotinductor, path_module
from pipelines.stages.worker import run_stage
from serving.clients import Target, client
from serving.clients.transport import send
from serving.launch import LaunchRequest, free_ports, serve
from serving.open_inference.recipe import recipe
from serving.wire.compiled import compiled_for

pytestmark = NEEDS_COMPILER
FILE = "mnist_cnn/model.aoti.pt2"


@pytest.fixture(scope="module", params=list(aotinductor.CARD.variants))
def packaged(request: pytest.FixtureRequest, packaged_once: Callable[[str], Path]) -> tuple[str, Path]:
    return request.param, packaged_once(f"aotinductor:{request.param}")


def sources(folder: Path) -> str:
    with zipfile.ZipFile(folder / FILE) as archive:
        return "".join(archive.read(name).decode() for name in archive.namelist() if name.endswith(".cpp"))


def rewritten(folder: Path, place: Path, **facts: str) -> Path:
    """Copy a payload; its package says something else about the processor that it is compiled for."""
    shutil.copytree(folder, place)
    (place / FILE).write_bytes(for_another((folder / FILE).read_bytes(), **facts))
    return place


def test_the_card() -> None:
    card = aotinductor.CARD
    assert path_module("aotinductor").CARD is card
    assert all(variant.missing() == [] for variant in card.variants.values())
    assert next(iter(card.variants)) == "fp32"


def close(variant: str, found: np.ndarray, expected: np.ndarray) -> bool:
    """Float: equal but for rounding. int8: 30 dB of signal to noise."""
    if variant != "int8":
        return bool(np.abs(found - expected).max() <= 1e-4)
    return bool(np.square(expected).sum() >= 1000 * np.square(found - expected).sum())


@pytest.mark.parametrize("rows", [1, 2, 5, 16])
def test_it_computes_what_the_trained_model_does(packaged: tuple[str, Path], trained: TrainedModel, rows: int) -> None:
    variant, folder = packaged
    inputs = {"image": trained.evaluation().inputs["image"][:rows]}
    with aotinductor.open(folder, 1) as session:
        outputs = session.predict(inputs)
    assert list(outputs) == ["logits"]
    assert close(variant, outputs["logits"], trained.reference(inputs)["logits"])


def test_freezing_packs_the_weights(packaged: tuple[str, Path]) -> None:
    variant, folder = packaged
    assert ("mkldnn" in sources(folder)) == (variant in ("freezing", "int8"))


@pytest.mark.parametrize("packaged", ["int8"], indirect=True)
def test_int8_is_computed_by_int8_kernels_but_for_a_convolution_of_one_channel(packaged: tuple[str, Path]) -> None:
    operators = aotinductor.holds(packaged[1]).operators
    assert operators["aoti_torch_cpu__qconv_pointwise_tensor"] == 2
    assert operators["aoti_torch_cpu__qlinear_pointwise_tensor"] == 1
    assert operators["aoti_torch_cpu_mkldnn__convolution_pointwise"] == 1


def test_the_number_of_threads_is_not_compiled_in(packaged: tuple[str, Path]) -> None:
    assert "num_threads(" not in sources(packaged[1])


def test_it_runs_where_there_is_no_compiler(
    packaged: tuple[str, Path], trained: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant, folder = packaged
    images = trained.evaluation().inputs["image"][:3]
    np.savez(tmp_path / "in.npz", **{"0/image": images})
    monkeypatch.setenv("PATH", "")
    files = {"inputs": str(tmp_path / "in.npz"), "outputs": str(tmp_path / "out.npz")}
    run_stage("predict", {"path": "aotinductor", "payload": str(folder), **files}, tmp_path / "log")
    with np.load(tmp_path / "out.npz") as found:
        assert close(variant, found["0/logits"], trained.reference({"image": images})["logits"])
    assert "outdated" not in (tmp_path / "log").read_text()


def test_without_a_compiler_it_is_skipped_with_the_reason(
    trained: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    request = {"path": "aotinductor", "variant": "fp32", "model": str(trained.weights.parent), "folder": str(tmp_path)}
    request["environments"] = str(tmp_path)
    with pytest.raises(NotPossible, match=r"needs a C\+\+ compiler. Install g\+\+"):
        run_stage("package", request, tmp_path / "log")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"AOTI_MACHINE": "riscv64"}, r"is compiled for riscv64, and this is .*: package it here"),
        ({"AOTI_CPU_ISA": "AVX2 AVX1024"}, r"is compiled for a processor with .*avx1024.*: package it here"),
    ],
)
def test_a_package_for_another_processor_is_refused(
    packaged: tuple[str, Path], tmp_path: Path, facts: dict[str, str], message: str
) -> None:
    with pytest.raises(SlipwayError, match=message):
        aotinductor.open(rewritten(packaged[1], tmp_path / "other", **facts), 1)


def test_a_file_that_is_no_package_is_refused(packaged: tuple[str, Path], tmp_path: Path) -> None:
    folder = rewritten(packaged[1], tmp_path / "other")
    (folder / FILE).write_bytes(b"nothing")
    with pytest.raises(SlipwayError, match=r"it is no whole zip archive"):
        aotinductor.open(folder, 1)
    with zipfile.ZipFile(folder / FILE, "w") as empty:
        empty.writestr("model/version", "1")
    with pytest.raises(SlipwayError, match=r"does not tell what it is compiled for"):
        aotinductor.open(folder, 1)


def test_the_package_says_what_it_is_compiled_for(packaged: tuple[str, Path]) -> None:
    import platform

    machine, instructions = compiled_for(packaged[1] / FILE)
    assert machine == platform.machine()
    assert instructions


def test_an_unknown_variant_is_refused(trained: TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown variant of aotinductor: 'int4'"):
        aotinductor.package(trained, tmp_path, "int4")


def test_it_is_served_over_every_protocol(packaged: tuple[str, Path], trained: TrainedModel, tmp_path: Path) -> None:
    _, folder = packaged
    inputs = {"image": trained.evaluation().inputs["image"][:2]}
    launched = recipe(LaunchRequest("mnist_cnn", folder, tmp_path, *free_ports(2)))
    assert "AOTInductor" in launched.server
    with serve(launched, tmp_path, timeout_s=90), aotinductor.open(folder, 1) as session:
        expected: Any = session.predict(inputs)["logits"]
        assert set(launched.endpoints) == set(aotinductor.CARD.protocols)
        for protocol, url in launched.endpoints.items():
            codec, target = client(protocol), Target(url, "mnist_cnn", {"logits": "float32"})
            body = codec.encode(target, inputs)
            outputs = codec.decode(target, send(codec.call(target, body), body))
            assert np.array_equal(outputs["logits"], expected), protocol
