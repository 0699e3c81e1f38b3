"""Training: good enough, deterministic, in both frameworks, with logs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models import trained as trained_models
from models.trained import TrainedModel
from models.weights import file_sha256


def test_the_model_is_good_enough_and_its_file_is_what_was_trained(trained: TrainedModel) -> None:
    facts = json.loads((trained.weights.parent / "training.json").read_text())
    assert facts["test_accuracy"] >= 0.97
    assert facts["weights_sha256"] == file_sha256(trained.weights) == trained.sha256
    assert facts["framework"] == "pytorch"
    assert list((trained.weights.parent / "logs" / "pytorch").glob("events.out.tfevents.*"))


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow"])
def test_training_twice_gives_the_same_file(fresh_cli, framework: str) -> None:  # type: ignore[no-untyped-def]
    hashes = [
        fresh_cli.json("train", "mnist_cnn", "--framework", framework, "--epochs", "1", "--rebuild")["weights_sha256"]
        for _ in range(2)
    ]
    assert hashes[0] == hashes[1]
    folder = fresh_cli.workspace / "artifacts" / "mnist_cnn" / "trained"
    (events,) = (folder / "logs" / framework).glob("events.out.tfevents.*")
    assert b"accuracy/test" in events.read_bytes()


def test_changed_weights_are_noticed(trained: TrainedModel, tmp_path: Path) -> None:
    copy = tmp_path / "trained"
    copy.mkdir()
    for file in trained.weights.parent.iterdir():
        if file.is_file():
            (copy / file.name).write_bytes(file.read_bytes())
    data = bytearray((copy / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "weights.safetensors").write_bytes(data)
    with pytest.raises(ValueError, match="not the file that was trained"):
        trained_models.load(copy)
