"""TorchScript modules: equal to the trained model at every batch size, loaded without the network's code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.trained import TrainedModel
from pipelines.base.errors import SlipwayError, UserError
from pipelines.claims.status import unusual
from pipelines.paths import path_module, torchscript


@pytest.fixture(scope="module", params=list(torchscript.CARD.variants))
def payload(request: pytest.FixtureRequest, packaged_once: Callable[[str], Path]) -> Path:
    return packaged_once(f"torchscript:{request.param}")


def test_the_card_says_that_it_is_deprecated_and_what_follows() -> None:
    card = torchscript.CARD
    assert path_module("torchscript").CARD is card
    assert all(variant.missing() == [] for variant in card.variants.values())
    assert (card.server, card.protocols) == (None, ())
    assert "torch.export is its successor" in card.no_server
    assert [one.status for one in unusual("torchscript")] == ["deprecated"]


def test_reading_the_card_imports_no_framework() -> None:
    code = "import sys, pipelines.paths.torchscript; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("rows", [1, 2, 5, 16])
def test_it_computes_what_the_trained_model_does(payload: Path, trained: TrainedModel, rows: int) -> None:
    inputs = {"image": trained.evaluation().inputs["image"][:rows]}
    with torchscript.open(payload, 1) as session:
        outputs = session.predict(inputs)
    assert list(outputs) == ["logits"]
    assert np.abs(outputs["logits"] - trained.reference(inputs)["logits"]).max() <= 1e-4


def test_the_module_needs_no_code_of_the_network(payload: Path) -> None:
    code = "import sys, torch; torch.jit.load(sys.argv[1]); assert 'models' not in sys.modules"
    subprocess.run([sys.executable, "-P", "-c", code, str(payload / "mnist_cnn" / "model.pt")], check=True)


def test_frozen_weights_are_constants(packaged_once: Callable[[str], Path]) -> None:
    import torch

    held = {}
    for variant in torchscript.CARD.variants:
        file = packaged_once(f"torchscript:{variant}") / "mnist_cnn" / "model.pt"
        held[variant] = len(torch.jit.load(file).state_dict())
    assert held["traced"] > 0
    assert held["frozen"] == 0


def test_an_unknown_variant_is_refused(trained: TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown variant of torchscript: 'script'"):
        torchscript.package(trained, tmp_path, "script")


def test_a_folder_without_a_model_and_a_file_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SlipwayError, match=r"the file of one model. Received: 0"):
        torchscript.open(tmp_path, 1)
    (tmp_path / "mnist_cnn").mkdir()
    (tmp_path / "mnist_cnn" / "model.pt").write_bytes(b"nothing")
    (tmp_path / "mnist_cnn" / "signature.json").write_text('{"inputs": [], "outputs": []}')
    with pytest.raises(SlipwayError, match=r"model.pt cannot be loaded"):
        torchscript.open(tmp_path, 1)
