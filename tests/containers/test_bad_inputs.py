"""Inputs that are missing, damaged, taken or too small: the service says what to do, the others run on."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from documents import documented
from patience import until

from serving.launch import free_port

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]

SERVERS = ("tf-serving", "torchserve", "open-inference")


@pytest.fixture
def broken(stack: Any) -> Iterator[Any]:
    """Another project with the same images and volumes of its own, empty; nothing is started."""
    ports = {name: str(free_port()) for name in stack.compose.env if name.endswith("_PORT")}
    env = {**stack.compose.env, **ports, "SLIPWAY_START_PERIOD": "1s", "TORCHSERVE_REPLICAS": "1"}
    made = replace(stack.compose, project=f"{stack.compose.project}-broken", env=env)
    try:
        yield made
    finally:
        made.run("--profile", "*", "down", "--volumes", "--timeout", "5")


def fill(broken: Any, stack: Any, then: str = "true", key: bool = True) -> None:
    """Put the artifacts into their volume, and a key into its own; then a shell command in the folder of the model."""
    source = f"{stack.workspace.artifacts}:/from:ro"
    command = f"cp -r /from/. /workspace/artifacts && cd /workspace/artifacts/mnist_cnn && {then}"
    broken("run", "--rm", "-T", "--no-deps", "-v", source, "--entrypoint", "sh", "build", "-c", command)
    if key:
        broken("run", "--rm", "-T", "keys")


def start(broken: Any, *services: str) -> str:
    """Return compose's messages for a start without `build` before it."""
    done = broken.run("up", "--detach", "--no-build", "--no-deps", *services)
    return str(done.stdout + done.stderr)


def complaints(broken: Any, service: str) -> set[str]:
    """Return the distinct lines of a service's log that say what to do."""
    lines = broken("logs", "--no-log-prefix", "--no-color", service).splitlines()
    asks = ("Package the model", "docker compose", "Put a version", "replaced by a complete version", "SLIPWAY_MEMORY")
    return {line.partition(" ERROR ")[2] or line for line in lines if any(word in line for word in asks)}


def fails(broken: Any, service: str) -> bool:
    state = broken.container(service)["State"]
    return state["Status"] in ("exited", "restarting") or state["Health"]["Status"] == "unhealthy"


def test_nothing_in_the_volume(broken: Any) -> None:
    broken("run", "--rm", "-T", "keys")
    start(broken, *SERVERS)
    says = {
        "tf-serving": "releases/fp32/served.config. slipway package MODEL tf-serving --release writes one",
        "torchserve": "releases/export/served.config. Package the model first",
        "open-inference": "releases/pytorch/served.config. Package the model first",
    }
    for service, line in says.items():
        assert until(lambda service=service: complaints(broken, service) and fails(broken, service))  # type: ignore[misc]
        (said,) = complaints(broken, service)
        assert line in said


def test_damaged_artifacts_and_a_whole_one(broken: Any, stack: Any) -> None:
    damage = (
        "truncate -s 100000 torchserve/releases/export/1/model-store/mnist_cnn.mar && "
        "echo garbage > tf-serving/releases/fp32/1/saved_model.pb"
    )
    fill(broken, stack, damage)
    start(broken, *SERVERS)
    for service, line in {"tf-serving": "cannot read the SavedModel", "torchserve": "mnist_cnn.mar is damaged"}.items():
        assert until(lambda service=service: complaints(broken, service) and fails(broken, service))  # type: ignore[misc]
        (said,) = complaints(broken, service)
        assert line in said
    assert until(lambda: broken.health("open-inference") == "healthy")


def test_a_program_that_pytorch_cannot_load(broken: Any, stack: Any) -> None:
    """A complete archive with an invalid program in it: the workers' errors, then one line."""
    script = (
        "import zipfile; name = 'torchserve/releases/export/1/model-store/mnist_cnn.mar'; old = zipfile.ZipFile(name); "
        "files = {each: old.read(each) for each in old.namelist()}; new = zipfile.ZipFile(name, 'w'); "
        "[new.writestr(each, b'garbage' if each.endswith('.pt2') else files[each]) for each in files]; new.close()"
    )
    fill(broken, stack, f'python -c "{script}"')
    start(broken, "torchserve")
    assert until(lambda: complaints(broken, "torchserve") and fails(broken, "torchserve"))
    (said,) = complaints(broken, "torchserve")
    assert "mnist_cnn.mar cannot be loaded" in said


def test_no_key(broken: Any, stack: Any) -> None:
    fill(broken, stack, key=False)
    start(broken, "torchserve")
    assert until(lambda: complaints(broken, "torchserve") and fails(broken, "torchserve"))
    (said,) = complaints(broken, "torchserve")
    assert "there is no key for its clients in /run/secrets/torchserve-key or /keys/torchserve" in said


def test_a_key_of_ones_own(broken: Any, stack: Any) -> None:
    fill(broken, stack)
    own = broken.folder / "own-key"
    own.write_text("own-" + "k" * 40)
    own.chmod(0o644)
    chosen = replace(broken, env={**broken.env, "TORCHSERVE_KEY_FILE": str(own)})
    start(chosen, "torchserve", "gateway")
    assert until(lambda: chosen.health("gateway") == "healthy")
    said = chosen("run", "--rm", "-T", "--no-deps", "slipway", "predict", "torchserve", "--from-test-set", "0")
    assert "(truth: 7)" in said
    assert chosen("exec", "-T", "torchserve", "python", "-m", "serving.torchserve", "token").strip() == own.read_text()


def test_too_little_memory(broken: Any, stack: Any) -> None:
    fill(broken, stack)
    start(replace(broken, env={**broken.env, "SLIPWAY_MEMORY": "100m"}), *SERVERS)
    for service in SERVERS:
        assert until(lambda service=service: complaints(broken, service) and fails(broken, service))  # type: ignore[misc]
        (said,) = complaints(broken, service)
        assert "Received: a limit of 100 MB. Raise it; with docker compose: SLIPWAY_MEMORY=2g" in said


def test_a_port_that_is_taken(broken: Any, stack: Any) -> None:
    fill(broken, stack)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        chosen = replace(broken, env={**broken.env, "TF_SERVING_REST_PORT": port})
        start(chosen, "open-inference")
        said = start(chosen, *SERVERS)
    assert f"127.0.0.1:{port}" in said
    assert "already" in said
    assert chosen.container("tf-serving")["State"]["Running"] is False
    assert until(lambda: broken.health("open-inference") == "healthy")


def test_ports_are_checked_before_anything_is_built(broken: Any) -> None:
    words = documented("docker compose run --rm --service-ports check")[3:]
    assert "The ports are free. Next: docker compose up" in broken("run", "-T", *words)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = replace(broken, env={**broken.env, "OPEN_INFERENCE_GRPC_PORT": port}).run("run", "-T", *words)
    assert done.returncode != 0
    assert f"127.0.0.1:{port}" in done.stderr
    assert "Building" not in done.stdout + done.stderr


def test_a_full_volume_is_one_line_before_a_model_is_trained(stack: Any) -> None:
    small = ("--tmpfs", "/tmp", "--tmpfs", "/workspace/artifacts:size=8m,uid=10001")  # noqa: S108 - in the container
    image = stack.compose.env["SLIPWAY_IMAGE"]
    done = subprocess.run(
        [
            "docker",
            "run",
            "--rm",
            "--network=none",
            "--read-only",
            *small,
            image,
            "package",
            "mnist_cnn",
            "onnxruntime",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("slipway: the disk of /workspace/artifacts/.store is full: 8.")
    assert "epoch" not in done.stderr


def test_predict_says_what_is_missing(broken: Any) -> None:
    for words, line in (
        (["predict", "torchserve", "--from-test-set", "0"], "no token for torchserve:export"),
        (["predict", "tf-serving", "--from-test-set", "0"], "no trained mnist_cnn to read"),
        (["loadtest"], "no trained mnist_cnn to read"),
    ):
        done = broken.run("run", "--rm", "-T", "--no-deps", "slipway", *words)
        assert done.returncode == 2
        assert line in done.stderr.splitlines()[-1]
