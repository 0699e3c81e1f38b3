"""Releases in the stack: they are pinned, and change on command, replica by replica, without a request lost."""

from __future__ import annotations

import io
import json
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import documented
from patience import until
from under_load import KILL, PAUSE_S, kind_of, under_load

from serving.clients import client

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]

SHIFT = 1.0
OURS = ("torchserve-grpc", "open-inference-rest", "open-inference-grpc")  # of TorchServe's REST: watched_replicas
GOOGLES = ("tf-serving-rest", "tf-serving-grpc")
REPLICAS = (("torchserve", 1), ("torchserve", 2), ("open-inference", 1))


def shifted_archive(payload: Path, new: Path) -> None:
    """Write TorchServe's archive with a network whose outputs are larger by SHIFT."""
    import torch

    (new / "model-store").mkdir(parents=True)
    name = Path("model-store") / "mnist_cnn.mar"
    with zipfile.ZipFile(payload / name) as old, zipfile.ZipFile(new / name, "w") as made:
        for member in old.namelist():
            content = old.read(member)
            if member == "model.pt2":
                program = torch.export.load(io.BytesIO(content))
                (bias,) = (value for value in program.state_dict.values() if value.shape == (10,))
                bias.data += SHIFT
                buffer = io.BytesIO()
                torch.export.save(program, buffer)
                content = buffer.getvalue()
            made.writestr(member, content)


def shifted_onnx(payload: Path, new: Path) -> None:
    """Write the ONNX file of the same network."""
    import onnx
    from onnx import numpy_helper

    (new / "mnist_cnn").mkdir(parents=True)
    name = Path("mnist_cnn") / "model.onnx"
    model = onnx.load(payload / name)
    (bias,) = (value for value in model.graph.initializer if list(value.dims) == [10])
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(SHIFT), bias.name))
    onnx.save(model, new / name)


@pytest.fixture(scope="module")
def second(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The stack, where a release 2 of each server waits: another model, or, of TF Serving, another version."""
    folder = tmp_path_factory.mktemp("second")
    shifted_archive(stack.artifact("torchserve").payload, folder / "torchserve" / "payload")
    shifted_onnx(stack.artifact("onnxruntime").payload, folder / "onnxruntime" / "payload")
    script = (
        "import shutil; from pathlib import Path; from pipelines.artifacts.release import release; "
        "here, made = Path('/workspace/artifacts/mnist_cnn'), Path('/tmp/tf-serving/payload'); "
        "shutil.copytree(here / 'tf-serving/fp32/payload', made); (made / '1' / 'note').touch(); "
        "print([release(payload, here / base, 'mnist_cnn') for payload, base in ["
        "(made, 'tf-serving/releases/fp32'), (Path('/from/torchserve/payload'), 'torchserve/releases/export'), "
        "(Path('/from/onnxruntime/payload'), 'onnxruntime/releases/pytorch')]])"
    )
    mount = f"{folder}:/from:ro"
    folder.chmod(0o755)
    words = ("run", "--rm", "-T", "--no-deps", "-v", mount, "--entrypoint", "python", "build", "-c", script)
    assert stack.compose(*words).splitlines()[-1] == "[2, 2, 2]"
    return stack


def releases(stack: Any) -> dict[str, set[str]]:
    """Return what the servers say that they serve, over their own APIs; each replica of TorchServe for itself."""
    found: dict[str, set[str]] = {}
    for name, path in (("tf-serving", "/v1/models/mnist_cnn"), ("open-inference", "/v2/models/mnist_cnn")):
        with urllib.request.urlopen(f"{stack.target(f'{name}-rest').url}{path}", timeout=10) as answer:
            said = json.load(answer)
        states = said.get("model_version_status", [])
        found[name] = {one["version"] for one in states if one["state"] == "AVAILABLE"} or set(said["versions"])
    ask = "python -c \"import urllib.request as r; print(r.urlopen('http://127.0.0.1:8083/ready').read().decode())\""
    for index in (1, 2):
        found[f"torchserve {index}"] = {str(json.loads(stack.compose.inside("torchserve", ask, index))["release"])}
    return found


def all_serve(number: str) -> dict[str, set[str]]:
    return {name: {number} for name in ("tf-serving", "open-inference", "torchserve 1", "torchserve 2")}


@contextmanager
def watched_replicas(stack: Any) -> Iterator[dict[str, list[tuple[str, str | None]]]]:
    """Ask TorchServe all the time; by replica, its release and whose answer it gave, in order."""
    seen: dict[str, list[tuple[str, str | None]]] = {}
    ended = threading.Event()
    answers, codec, target = (
        stack.answers("torchserve-rest"),
        client("torchserve-rest"),
        stack.target("torchserve-rest"),
    )
    body = codec.encode(target, answers.inputs(1)[0])
    call = codec.call(target, body)

    def ask() -> None:
        while not ended.wait(PAUSE_S):
            request = urllib.request.Request(f"{call.url}{call.path}", body, dict(call.headers))
            with urllib.request.urlopen(request, timeout=60) as answer:
                kind = kind_of(answers, codec.decode(target, answer.read()), SHIFT)
                step = answer.headers["x-model-version"], kind
                steps = seen.setdefault(answer.headers["x-served-by"], [])
            if steps[-1:] != [step]:
                steps.append(step)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield seen
    finally:
        ended.set()
        asking.join(90)


def roll_out(stack: Any, command: str, before: tuple[str, str], after: tuple[str, str]) -> None:
    """Run a documented command under load; ``before`` and ``after`` are the release and whose answers it gives."""
    _, _, *words = documented(command)
    with (
        under_load(stack, *OURS, shift=SHIFT) as ours,
        under_load(stack, *GOOGLES) as googles,
        watched_replicas(stack) as replicas,
    ):
        assert until(lambda: ours[before[1]] > 50 and googles["right"] > 50 and len(replicas) == 2)
        stack.compose(*words[:2], "-T", *words[2:], timeout_s=700)
        assert releases(stack) == all_serve(after[0])
        at_end = ours[before[1]]
        was = ours[after[1]], googles["right"]
        assert until(lambda: ours[after[1]] > was[0] + 50 and googles["right"] > was[1] + 50)
        # Whoever asked after the command has ended was answered by the new release: only answers on their way remain.
        assert ours[before[1]] <= at_end + 2 * len(OURS)
    assert set(ours) == {"right", "of the other model"}, ours
    assert set(googles) == {"right"}, googles
    assert list(replicas.values()) == [[before, after]] * 2


def test_a_new_release_waits_until_it_is_rolled_out(second: Any) -> None:
    """A server that restarts serves what it served; so does one that is added, which starts in the same way."""
    for service, index in REPLICAS:
        starts = second.compose.container(service, index)["RestartCount"]
        second.compose.run("exec", "-T", "--index", str(index), service, "sh", "-c", KILL)
        assert until(lambda: second.compose.container(service, index)["RestartCount"] > starts)  # noqa: B023
    for service, index in REPLICAS:
        assert until(lambda: second.compose.health(service, index) == "healthy")  # noqa: B023
    assert releases(second) == all_serve("1")


def test_a_roll_out_loses_no_request_and_is_kept(second: Any) -> None:
    roll_out(second, "docker compose run --rm rollout", ("1", "right"), ("2", "of the other model"))
    starts = second.compose.container("torchserve", 2)["RestartCount"]
    second.compose.run("exec", "-T", "--index", "2", "torchserve", "sh", "-c", KILL)
    assert until(lambda: second.compose.container("torchserve", 2)["RestartCount"] > starts)
    assert until(lambda: second.compose.health("torchserve", 2) == "healthy")
    assert releases(second) == all_serve("2")


def test_the_way_back_loses_no_request(second: Any) -> None:
    roll_out(second, "docker compose run --rm rollout --to 1", ("2", "of the other model"), ("1", "right"))


def test_a_build_makes_the_next_release_of_what_has_changed(second: Any) -> None:
    said = second.compose("run", "-T", *documented("docker compose run --rm build")[3:], timeout_s=200)
    assert "torchserve:export  release 3; 1 is served until: slipway rollout torchserve:export" in said
    assert releases(second) == all_serve("1")
