"""The server follows a pin: another release takes over when it is loaded, and one that cannot be loaded does not."""

from __future__ import annotations

import http.client
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from patience import until

from serving.clients import Target, client
from serving.clients.transport import send
from serving.container.releases import pin
from serving.launch import LOOPBACK, Recipe, free_ports, serve
from serving.open_inference.state import is_ready


def test_what_is_pinned_is_served(
    payload: Path, payloads: Callable[[str], Path], images: np.ndarray, tmp_path: Path
) -> None:
    base = tmp_path / "releases"
    for number in ("1", "2"):
        shutil.copytree(payload, base / number)
    (base / "3" / "mnist_cnn").mkdir(parents=True)
    (base / "3" / "mnist_cnn" / "model.onnx").write_bytes(b"garbage")
    shutil.copytree(payloads("openvino"), base / "4")
    pin(base, "mnist_cnn", 1)
    ports = free_ports(2)
    argv = (
        *(sys.executable, "-m", "serving.open_inference", "serve", "--model_name=mnist_cnn", f"--releases={base}"),
        *(f"--http_port={ports[0]}", f"--grpc_port={ports[1]}"),
    )

    def ask(path: str) -> Any:
        link = http.client.HTTPConnection(LOOPBACK, ports[0], timeout=30)
        link.request("GET", f"/v2/models/mnist_cnn{path}")
        answer = link.getresponse()
        said = json.loads(answer.read())
        link.close()
        return said if answer.status == 200 else answer.status

    def answered() -> str:
        codec, target = client("open-inference-rest"), Target(f"http://{LOOPBACK}:{ports[0]}", "mnist_cnn", {}, None)
        body = codec.encode(target, {"image": images[:1]})
        return str(json.loads(send(codec.call(target, body), body))["model_version"])

    recipe = Recipe("KServe", argv, {}, lambda: is_ready("mnist_cnn", LOOPBACK, *ports))
    with serve(recipe, tmp_path, timeout_s=90) as server:
        assert (ask("")["versions"], answered()) == (["1"], "1")
        assert ask("/versions/2") == 404
        pin(base, "mnist_cnn", 2)
        assert until(lambda: answered() == "2")
        assert ask("")["versions"] == ["2"]
        assert ask("/versions/1") == 404
        pin(base, "mnist_cnn", 3)
        assert until(lambda: "still serving release 2" in server.log.read_text())
        assert "cannot be loaded" in server.log.read_text()
        assert answered() == "2"
        pin(base, "mnist_cnn", 4)
        assert until(lambda: answered() == "4")
        assert ask("")["platform"] == "openvino"  # each release has the runtime of its file
