"""torch.compile in process: equal to the trained model, few compilations, and nothing left behind."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cxx import NEEDS_COMPILER

from models.trained import TrainedModel
from pipelines.base.errors import NotPossible, SlipwayError
from pipelines.paths import Session, path_module, torch_compile
from pipelines.stages.worker import run_stage

pytestmark = NEEDS_COMPILER


@pytest.fixture(scope="module")
def payload(trained: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("payload")
    torch_compile.package(trained, folder, "fp32")
    return folder


@pytest.fixture(scope="module")
def opened(payload: Path) -> Iterator[Session]:
    with torch_compile.open(payload, 1) as session:
        yield session


def test_the_card() -> None:
    card = torch_compile.CARD
    assert path_module("torch-compile").CARD is card
    assert all(variant.missing() == [] for variant in card.variants.values())
    assert (card.server, card.protocols) == (None, ())
    assert "aotinductor" in card.no_server


def test_reading_the_card_imports_no_framework() -> None:
    code = "import sys, pipelines.paths.torch_compile; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("rows", [1, 2, 5, 16])
def test_it_computes_what_the_trained_model_does(opened: Session, trained: TrainedModel, rows: int) -> None:
    inputs = {"image": trained.evaluation().inputs["image"][:rows]}
    outputs = opened.predict(inputs)
    assert list(outputs) == ["logits"]
    assert np.abs(outputs["logits"] - trained.reference(inputs)["logits"]).max() <= 1e-4


def test_a_new_batch_size_is_not_compiled_anew(opened: Session, trained: TrainedModel) -> None:
    from torch._dynamo.utils import counters

    images = trained.evaluation().inputs["image"]
    for rows in (1, 2, 16):
        opened.predict({"image": images[:rows]})
    before = counters["stats"]["unique_graphs"]
    assert before >= 1
    for rows in (3, 5, 15, 17, 40):
        opened.predict({"image": images[:rows]})
    assert counters["stats"]["unique_graphs"] == before


def test_the_compiler_leaves_nothing_in_the_temporary_folder(
    payload: Path, trained: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with torch_compile.open(payload, 1) as session:
        session.predict({"image": trained.evaluation().inputs["image"][:1]})
        assert list(tmp_path.rglob("*.so"))
        assert list(tmp_path.rglob("*.gch"))  # the headers, which would else stay in a folder of all programs
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("stage", "also"), [("package", {}), ("predict", {"inputs": "in.npz", "outputs": "out.npz"})])
def test_without_a_compiler_it_is_skipped_with_the_reason(
    payload: Path,
    trained: TrainedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    also: dict[str, str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no compiler is found in it
    files = {key: str(tmp_path / name) for key, name in also.items()}
    np.savez(tmp_path / "in.npz", **{"0/image": trained.evaluation().inputs["image"][:1]})
    request = {"path": "torch-compile", "payload": str(payload), **files}
    if stage == "package":
        model = str(trained.weights.parent)
        request = {"path": "torch-compile", "variant": "fp32", "model": model, "folder": str(tmp_path)}
        request["environments"] = str(tmp_path)
    with pytest.raises(NotPossible, match=r"needs a C\+\+ compiler. Install g\+\+"):
        run_stage(stage, request, tmp_path / "log")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SlipwayError, match=r"the file of one model. Received: 0"):
        torch_compile.open(tmp_path, 1)
