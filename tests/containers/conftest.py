"""One composition of containers for the whole folder: a clean clone, built and started as a user would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import documented

from pipelines.artifacts.artifact import Artifact
from pipelines.artifacts.workspace import Workspace
from pipelines.paths.choose import choose_one
from pipelines.run.addresses import artifact_in
from pipelines.stages.answers import ANSWERS, Answers
from serving.clients import Target, client
from serving.clients.transport import send
from serving.launch import free_port

ROOT = Path(__file__).resolve().parents[2]
UP = ("docker compose --profile monitor up", "docker compose up")
"""Commands of the documentation whose common result, with two replicas, is the stack."""
REPLICAS = "TORCHSERVE_REPLICAS=2 docker compose up"
EPOCHS = 1
"""One is enough for a model that knows digits; `up` takes the model that is trained, as it was trained."""
PATHS = {"tf-serving": "fp32", "torchserve": "export", "onnxruntime": "pytorch"}
PUBLISHED = {
    "tf-serving-rest": ("http", "TF_SERVING_REST_PORT"),
    "tf-serving-grpc": ("grpc", "TF_SERVING_GRPC_PORT"),
    "torchserve-rest": ("http", "TORCHSERVE_REST_PORT"),
    "torchserve-rest-binary": ("http", "TORCHSERVE_REST_PORT"),
    "torchserve-grpc": ("grpc", "TORCHSERVE_GRPC_PORT"),
    "open-inference-rest": ("http", "OPEN_INFERENCE_REST_PORT"),
    "open-inference-rest-binary": ("http", "OPEN_INFERENCE_REST_PORT"),
    "open-inference-grpc": ("grpc", "OPEN_INFERENCE_GRPC_PORT"),
}
IMAGES = {
    "SLIPWAY_IMAGE": "slipway",
    "TF_SERVING_IMAGE": "tf-serving",
    "TORCHSERVE_IMAGE": "torchserve",
    "OPEN_INFERENCE_IMAGE": "open-inference",
    "GATEWAY_IMAGE": "gateway",
    "PROMETHEUS_IMAGE": "prometheus",
}


@dataclass(frozen=True, slots=True)
class Compose:
    """``docker compose`` for one project of the tests' own."""

    folder: Path
    project: str
    env: dict[str, str]

    def __call__(self, *words: str, code: int | None = 0, timeout_s: float = 120) -> str:
        """Return the output. ``code`` is the expected exit code; None for any but 0."""
        done = self.run(*words, timeout_s=timeout_s)
        as_wanted = done.returncode != 0 if code is None else done.returncode == code
        assert as_wanted, f"{words}: exit code {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def run(self, *words: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        # Nothing of the user's own settings, from the environment or a file .env.
        images = (name.split("_")[0] + "_" for name in IMAGES)
        ours = ("SLIPWAY_", "COMPOSE_", "PROMETHEUS_", "WEB_", "TF_SERVING_", *images)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return subprocess.run(
            ["docker", "compose", "--env-file", os.devnull, "--project-name", self.project, *words],
            cwd=self.folder,
            env={**inherited, **self.env},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def inside(self, service: str, command: str, index: int = 1, code: int | None = 0) -> str:
        """Return the output of a shell command in a running container."""
        return self("exec", "-T", "--index", str(index), service, "sh", "-c", command, code=code).strip()

    def container(self, service: str, index: int = 1) -> dict[str, Any]:
        """Return the engine's description of a container."""
        (found,) = json.loads(docker("inspect", f"{self.project}-{service}-{index}"))
        return dict(found)

    def health(self, service: str, index: int = 1) -> str:
        return str(self.container(service, index)["State"]["Health"]["Status"])

    def left(self) -> list[str]:
        """Containers, volumes and networks of the project."""
        ours = ["--filter", f"label=com.docker.compose.project={self.project}", "--quiet"]
        kinds = (["ps", "--all"], ["volume", "ls"], ["network", "ls"])
        return [name for kind in kinds for name in docker(*kind, *ours).split()]


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60, check=True).stdout.strip()


@dataclass(frozen=True, slots=True)
class Stack:
    """A running composition, its artifacts in a copy here, and the key of TorchServe's clients."""

    compose: Compose
    workspace: Workspace
    key: str

    def artifact(self, path: str) -> Artifact:
        artifact, certificate = artifact_in(self.workspace, "mnist_cnn", choose_one(f"{path}:{PATHS[path]}"))
        assert certificate.passed
        assert certificate.artifact_sha256 == artifact.manifest.artifact_sha256
        return artifact

    def answers(self, protocol: str) -> Answers:
        """Return the certified answers of the artifact behind ``protocol``."""
        path = next(path for path in PATHS if protocol in choose_one(path).card.protocols)
        return Answers(self.artifact(path).folder / ANSWERS)

    def target(self, protocol: str, key: str | None = None) -> Target:
        scheme, port = PUBLISHED[protocol]
        token = key if key is not None else self.key if protocol.startswith("torchserve") else None
        return Target(f"{scheme}://127.0.0.1:{self.compose.env[port]}", "mnist_cnn", {"logits": "float32"}, token)

    def ask(self, protocol: str, inputs: dict[str, np.ndarray], key: str | None = None) -> dict[str, np.ndarray]:
        codec, target = client(protocol), self.target(protocol, key)
        body = codec.encode(target, inputs)
        return dict(codec.decode(target, send(codec.call(target, body), body)))


@pytest.fixture(scope="session")
def engine() -> None:
    """Skips where no Docker engine with compose v2 answers."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    for words in (["docker", "version"], ["docker", "compose", "version"]):
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            pytest.skip(f"{' '.join(words)}: {done.stderr.strip()}")


def environment(project: str) -> dict[str, str]:
    """Images of the project's own and free ports; by variables alone, as a user would."""
    ports = {name: str(free_port()) for _, name in PUBLISHED.values()}
    images = {variable: f"{project}/{name}" for variable, name in IMAGES.items()}
    replicas = dict([documented(REPLICAS)[0].split("=")])
    return {**images, **ports, **replicas, "PROMETHEUS_PORT": str(free_port()), "WEB_PORT": str(free_port())}


@pytest.fixture(scope="session")
def compose(engine: None, clone: Path) -> Iterator[Compose]:
    """The composition of the clone, built and not started; afterwards its images are removed."""
    project = f"slipway-test-{os.getpid()}"
    made = Compose(clone, project, environment(project))
    try:
        made("--profile", "monitor", "build", timeout_s=1500)
        yield made
    finally:
        made.run("--profile", "*", "down", "--volumes", "--timeout", "5")
        for image in IMAGES.values():
            subprocess.run(
                ["docker", "image", "rm", f"{project}/{image}"], capture_output=True, timeout=60, check=False
            )
        docker("image", "prune", "--force", "--filter", f"label=com.docker.compose.project={project}")


@pytest.fixture(scope="session")
def stack(compose: Compose, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All servers up and healthy, TorchServe twice, Prometheus beside them."""
    words = dict.fromkeys(word for command in UP for word in documented(command)[2:])
    trained = compose.run(*("run", "--rm", "-T", "build", "train", "mnist_cnn", "--epochs", str(EPOCHS)), timeout_s=900)
    assert trained.returncode == 0, trained.stderr
    assert f"epoch {EPOCHS} of {EPOCHS}: loss" in trained.stderr
    compose(*words, "--detach", "--wait", timeout_s=400)
    assert "train mnist_cnn  cached" in compose("logs", "build")
    root = tmp_path_factory.mktemp("deployed")
    compose("cp", "tf-serving:/workspace/artifacts", str(root / "artifacts"))
    key = compose.inside("torchserve", "cat /keys/torchserve")
    yield Stack(compose, Workspace(root), key)
    compose(*documented("docker compose --profile monitor --profile load down --volumes")[2:], timeout_s=200)
    assert compose.left() == []
