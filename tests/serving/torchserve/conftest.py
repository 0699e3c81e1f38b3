"""An archive of the trained model, and TorchServe running it: one of each for the whole folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.trained import TrainedModel
from pipelines.paths import torchserve
from serving.clients import Target
from serving.launch import LaunchRequest, Recipe, Server, free_ports, serve
from serving.torchserve.recipe import recipe


@pytest.fixture(scope="session")
def payload(trained: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("payload")
    torchserve.package(trained, folder, "export")
    return folder


@pytest.fixture(scope="session")
def images(trained: TrainedModel) -> np.ndarray:
    """float32 (50, 28, 28): the first rows of the evaluation set."""
    return trained.evaluation().inputs["image"][:50]


@pytest.fixture(scope="session")
def started(payload: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Recipe, Server, Path]]:
    workdir = tmp_path_factory.mktemp("ts")
    launched = recipe(LaunchRequest("mnist_cnn", payload, workdir, *free_ports(2)))
    with serve(launched, workdir, timeout_s=90) as server:
        yield launched, server, workdir


@pytest.fixture(scope="session")
def targets(started: tuple[Recipe, Server, Path]) -> dict[str, Target]:
    """Protocol -> the model behind it, with the token."""
    launched, _, _ = started
    return {
        protocol: Target(url, "mnist_cnn", {"logits": "float32"}, launched.token())
        for protocol, url in launched.endpoints.items()
    }
