"""Model archives: equal to the trained model, the same bytes each time, and read with care."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from cxx import NEEDS_COMPILER
from other_processor import for_another

from models.trained import TrainedModel
from pipelines.base.errors import NotPossible, SlipwayError, UserError
from pipelines.paths import path_module, torchserve
from pipelines.stages.worker import run_stage

ARCHIVE = "model-store/mnist_cnn.mar"
COMPILED = pytest.param("aotinductor", marks=NEEDS_COMPILER)
VARIANTS = [COMPILED if name == "aotinductor" else name for name in torchserve.CARD.variants]


@pytest.fixture(scope="module", params=VARIANTS)
def packaged(request: pytest.FixtureRequest, packaged_once: Callable[[str], Path]) -> tuple[str, Path]:
    return request.param, packaged_once(f"torchserve:{request.param}")


@pytest.fixture(scope="module")
def images(trained: TrainedModel) -> np.ndarray:
    return trained.evaluation().inputs["image"][:16]


def test_the_card() -> None:
    assert path_module("torchserve").CARD is torchserve.CARD
    assert all(variant.missing() == [] for variant in torchserve.CARD.variants.values())
    assert next(iter(torchserve.CARD.variants)) == "export"


def test_reading_the_card_imports_no_framework() -> None:
    heavy = {"torch", "ts", "yaml", "model_archiver"}
    code = f"import sys, pipelines.paths.torchserve; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 16])
def test_it_computes_what_the_trained_model_does(
    packaged: tuple[str, Path], trained: TrainedModel, images: np.ndarray, rows: int
) -> None:
    _, folder = packaged
    inputs = {"image": images[:rows]}
    outputs = torchserve.open(folder, 1).predict(inputs)
    assert list(outputs) == ["logits"]
    assert np.abs(outputs["logits"] - trained.reference(inputs)["logits"]).max() <= 1e-4


def test_what_is_in_the_archive(packaged: tuple[str, Path], trained: TrainedModel) -> None:
    variant, folder = packaged
    with zipfile.ZipFile(folder / ARCHIVE) as file:
        names = file.namelist()
        config = yaml.safe_load(file.read("model-config.yaml"))
        manifest = json.loads(file.read("MAR-INF/MANIFEST.json"))
    program = {"export": "model.pt2", "aotinductor": "model.aoti.pt2", "torchscript": "model.pt"}[variant]
    copies = ["slipway_compiled.py", "slipway_pictures.py"]
    assert names == sorted(["MAR-INF/MANIFEST.json", "handler.py", "model-config.yaml", *copies, program])
    assert manifest["model"] == {
        "modelName": "mnist_cnn",
        "serializedFile": program,
        "handler": "handler.py",
        "modelVersion": "1.0",
        "configFile": "model-config.yaml",
    }
    assert config["slipway"]["inputs"] == [{"name": "image", "dtype": "float32", "shape": [None, 28, 28]}]
    assert config["slipway"]["labels"] == list(trained.spec.labels)
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()] == [ARCHIVE]


def test_the_same_model_gives_the_same_bytes(
    trained: TrainedModel, packaged_once: Callable[[str], Path], tmp_path: Path
) -> None:
    torchserve.package(trained, tmp_path, "export")
    assert (packaged_once("torchserve:export") / ARCHIVE).read_bytes() == (tmp_path / ARCHIVE).read_bytes()


def test_the_exported_program_holds_no_path_of_this_machine(packaged_once: Callable[[str], Path]) -> None:
    with (
        zipfile.ZipFile(packaged_once("torchserve:export") / ARCHIVE) as file,
        file.open("model.pt2") as program,
        zipfile.ZipFile(program) as inner,
    ):
        content = b"".join(inner.read(name) for name in inner.namelist())
    assert b"torch_net.py" not in content
    assert str(Path.cwd()).encode() not in content


def test_an_unknown_variant_is_refused(trained: TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown variant of torchserve: 'exprt'. Did you mean export\?"):
        torchserve.package(trained, tmp_path, "exprt")


@pytest.mark.parametrize("packaged", [COMPILED], indirect=True)
@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"AOTI_MACHINE": "riscv64"}, r"model.aoti.pt2 is compiled for riscv64, and this is .*: package it here"),
        ({"AOTI_CPU_ISA": "AVX2 AVX1024"}, r"is compiled for a processor with .*avx1024.*: package it here"),
    ],
)
def test_an_archive_compiled_for_another_processor_is_refused(
    packaged: tuple[str, Path], tmp_path: Path, facts: dict[str, str], message: str
) -> None:
    with zipfile.ZipFile(packaged[1] / ARCHIVE) as file:
        members = {name: file.read(name) for name in file.namelist()}
    members["model.aoti.pt2"] = for_another(members["model.aoti.pt2"], **facts)
    with pytest.raises(SlipwayError, match=message):
        torchserve.open(archive(tmp_path / "in process", members), 1)
    # The handler of the archive itself, in a worker: nothing of this project is there.
    worker = tmp_path / "worker"
    worker.mkdir()
    for name, content in members.items():
        if "/" not in name:
            (worker / name).write_bytes(content)
    code = (
        "import handler, yaml; settings = handler.Settings.of(yaml.safe_load(open('model-config.yaml'))['slipway']); "
        "handler.load_program(handler.Path(settings.program).resolve(), settings)"
    )
    there = {"cwd": worker, "env": {**os.environ, "PYTHONPATH": ""}}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **there)
    assert done.returncode == 1
    assert re.search(message, done.stderr)


@pytest.mark.parametrize("packaged", [COMPILED], indirect=True)
def test_a_compiled_archive_runs_where_there_is_no_compiler(
    packaged: tuple[str, Path],
    trained: TrainedModel,
    images: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    np.savez(tmp_path / "in.npz", **{"0/image": images})
    monkeypatch.setenv("PATH", "")
    files = {"inputs": str(tmp_path / "in.npz"), "outputs": str(tmp_path / "out.npz")}
    run_stage("predict", {"path": "torchserve", "payload": str(packaged[1]), **files}, tmp_path / "log")
    with np.load(tmp_path / "out.npz") as found:
        assert np.abs(found["0/logits"] - trained.reference({"image": images})["logits"]).max() <= 1e-4


def test_without_a_compiler_only_the_compiled_variant_is_skipped(
    trained: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    request = {"path": "torchserve", "model": str(trained.weights.parent), "folder": str(tmp_path)}
    request["environments"] = str(tmp_path)
    with pytest.raises(NotPossible, match=r"needs a C\+\+ compiler. Install g\+\+"):
        run_stage("package", {**request, "variant": "aotinductor"}, tmp_path / "log")
    run_stage("package", {**request, "variant": "export"}, tmp_path / "log")
    assert (tmp_path / ARCHIVE).is_file()


def archive(folder: Path, members: dict[str, bytes]) -> Path:
    (folder / "model-store").mkdir(parents=True)
    with zipfile.ZipFile(folder / ARCHIVE, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return folder


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil", "a/../../evil", "C:/evil", "a\\..\\evil"])
def test_members_outside_of_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SlipwayError, match="a member outside its folder"):
        torchserve.open(archive(tmp_path, {name: b""}), 1)


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchserve, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(SlipwayError, match=r"may unpack to 1000 bytes at most\. Received: 1001"):
        torchserve.open(archive(tmp_path, {"big": b"0" * 1001}), 1)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SlipwayError, match=r"one model archive \(.mar\). Received: 0"):
        torchserve.open(tmp_path, 1)
    (tmp_path / "model-store").mkdir()
    (tmp_path / ARCHIVE).write_bytes(b"no zip file")
    with pytest.raises(SlipwayError, match="is not a model archive"):
        torchserve.open(tmp_path, 1)


def test_an_archive_of_another_tool_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SlipwayError, match=r"lacks MAR-INF/MANIFEST.json, model-config.yaml"):
        torchserve.open(archive(tmp_path, {"model.pt": b""}), 1)
