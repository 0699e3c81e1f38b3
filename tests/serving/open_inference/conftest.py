"""The trained model as ONNX, and KServe's server running it: one of each for the whole folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from models.trained import TrainedModel
from pipelines.paths import path_module
from serving.clients import Target
from serving.launch import LaunchRequest, Recipe, Server, free_ports, serve
from serving.open_inference.recipe import recipe
from serving.wire.datatypes import NUMPY


@pytest.fixture(scope="session")
def payload(packaged_once: Callable[[str], Path]) -> Path:
    return packaged_once("onnxruntime:pytorch")


@pytest.fixture(scope="session")
def payloads(packaged_once: Callable[[str], Path]) -> Callable[[str], Path]:
    """Packages the trained model for a runtime, in the first variant of the path that has its name; once."""
    return lambda runtime: packaged_once(f"{runtime}:{next(iter(path_module(runtime).CARD.variants))}")


@pytest.fixture(scope="session")
def images(trained: TrainedModel) -> np.ndarray:
    """float32 (50, 28, 28): the first rows of the evaluation set."""
    return trained.evaluation().inputs["image"][:50]


@pytest.fixture(scope="session")
def started(payload: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Recipe, Server]]:
    workdir = tmp_path_factory.mktemp("kserve")
    launched = recipe(LaunchRequest("mnist_cnn", payload, workdir, *free_ports(2)))
    with serve(launched, workdir, timeout_s=90) as server:
        yield launched, server


@pytest.fixture(scope="session")
def targets(started: tuple[Recipe, Server]) -> dict[str, Target]:
    """Protocol -> the model behind it."""
    launched, _ = started
    return {
        protocol: Target(url, "mnist_cnn", {"logits": "float32"}, launched.token())
        for protocol, url in launched.endpoints.items()
    }


@pytest.fixture(scope="session")
def echo_payload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that gives its inputs back: one of each datatype, ``in_FP32`` as ``out_FP32``, of shape [-1, 2]."""
    folder = tmp_path_factory.mktemp("echo")
    types = {name: onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)) for name, dtype in NUMPY.items()}

    def tensors(side: str) -> list[onnx.ValueInfoProto]:
        return [onnx.helper.make_tensor_value_info(f"{side}_{name}", of, ["n", 2]) for name, of in types.items()]

    nodes = [onnx.helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in types]
    graph = onnx.helper.make_graph(nodes, "echo", tensors("in"), tensors("out"))
    (folder / "echo").mkdir()
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "echo" / "model.onnx")
    return folder


@pytest.fixture(scope="session")
def start_echo(echo_payload: Path) -> Callable[..., AbstractContextManager[Server]]:
    """Starts a server of the echo model, in a folder, with more flags."""

    def start(workdir: Path, *flags: str) -> AbstractContextManager[Server]:
        launched = recipe(LaunchRequest("echo", echo_payload, workdir, *free_ports(2)))
        return serve(replace(launched, argv=(*launched.argv, *flags)), workdir, timeout_s=90)

    return start


@pytest.fixture(scope="session")
def echo(start_echo: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_echo(tmp_path_factory.mktemp("closed")) as server:
        yield server


@pytest.fixture(scope="session")
def open_echo(start_echo: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same, with the repository API."""
    with start_echo(tmp_path_factory.mktemp("open"), "--allow_repository_api") as server:
        yield server
