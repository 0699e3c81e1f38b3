"""TorchServe follows a pin, is started anew when its worker dies, and keeps what it serves from a broken release."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import sys
import zipfile
from pathlib import Path

import numpy as np
from patience import until

from serving.clients import Target, client
from serving.container.releases import pin
from serving.launch import LOOPBACK, Recipe, free_ports, serve
from serving.torchserve.state import is_ready, key, workers


def broken(payload: Path, release: Path) -> None:
    """Copy an archive with a program that PyTorch cannot load."""
    (release / "model-store").mkdir(parents=True)
    name = Path("model-store") / "mnist_cnn.mar"
    with zipfile.ZipFile(payload / name) as old, zipfile.ZipFile(release / name, "w") as new:
        for member in old.namelist():
            new.writestr(member, b"garbage" if member.endswith(".pt2") else old.read(member))


def test_what_is_pinned_is_served(payload: Path, images: np.ndarray, tmp_path: Path) -> None:
    base = tmp_path / "releases"
    for number in ("1", "3"):
        shutil.copytree(payload, base / number)
    broken(payload, base / "2")
    pin(base, "mnist_cnn", 1)
    workdir = tmp_path / "w"
    workdir.mkdir()
    names = ("http_port", "grpc_port", "management_port", "metrics_port", "grpc_management_port", "ready_port")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    argv = (
        *(sys.executable, "-m", "serving.torchserve", "serve", "--model_name=mnist_cnn", f"--releases={base}"),
        *(f"--workdir={workdir}", *(f"--{name}={port}" for name, port in ports.items())),
    )

    def answered() -> tuple[int, str | None]:
        target = Target(f"http://{LOOPBACK}:{ports['http_port']}", "mnist_cnn", {}, key(workdir, "inference"))
        codec = client("torchserve-rest")
        call = codec.call(target)
        link = http.client.HTTPConnection(LOOPBACK, ports["http_port"], timeout=60)
        link.request("POST", call.path, codec.encode(target, {"image": images[:1]}), dict(call.headers))
        answer = link.getresponse()
        answer.read()
        link.close()
        return answer.status, answer.headers["x-model-version"]

    def ready() -> tuple[int, int]:
        link = http.client.HTTPConnection(LOOPBACK, ports["ready_port"], timeout=60)
        link.request("GET", "/ready")
        answer = link.getresponse()
        release = json.loads(answer.read())["release"]
        link.close()
        return answer.status, release

    def worker() -> int:
        (found,) = workers("mnist_cnn", ports["management_port"], workdir)
        return int(found["pid"])

    recipe = Recipe("TorchServe", argv, {}, lambda: is_ready("mnist_cnn", ports["management_port"], workdir))
    with serve(recipe, tmp_path, timeout_s=90) as server:
        assert until(lambda: ready() == (200, 1))
        assert answered() == (200, "1")
        pin(base, "mnist_cnn", 2)
        assert until(lambda: "still serving release 1" in server.log.read_text())
        assert (ready(), answered()) == ((200, 1), (200, "1"))
        pin(base, "mnist_cnn", 3)
        assert until(lambda: ready() == (200, 3))
        assert answered() == (200, "3")
        assert [file.name for file in (workdir / "store").iterdir()] == ["3.mar"]
        os.kill(worker(), signal.SIGKILL)
        assert until(lambda: ready() == (503, 3))
        assert until(lambda: ready() == (200, 3))
        assert answered() == (200, "3")
    assert server.log.read_text().count("the worker died, TorchServe is started anew") == 1
