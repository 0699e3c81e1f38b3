"""docs/routes.md names every route of TorchServe as it is set up here, and says who may call it."""

from __future__ import annotations

import http.client
import importlib.util
import json
import re
import socket
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from routes import documented, filled, grpc_status

from serving.launch import LOOPBACK, Recipe, free_ports, serve
from serving.torchserve.state import accepts, is_ready, key

TABLE = documented("TorchServe")
FLAGS = {
    "inference": "--http_port",
    "management": "--management_port",
    "metrics": "--metrics_port",
    "ready": "--ready_port",
    "gRPC inference": "--grpc_port",
    "gRPC management": "--grpc_management_port",
}
UNDESCRIBED = {
    ("inference", "POST /invocations"),
    ("inference", "POST /explanations/{model_name}"),
    ("inference", "POST /wfpredict/{workflow_name}"),
    ("metrics", "OPTIONS /"),
    ("metrics", "GET /api-description"),
    ("ready", "GET /ready"),
}
"""Routes that TorchServe's description of itself leaves out, and that of our own process beside it."""
REFUSED = "Token Authorization failed"


@dataclass(frozen=True)
class Everything:
    """TorchServe with every port that it can have."""

    ports: dict[str, int]
    workdir: Path

    def ask(self, port: str, route: str, kind: str | None) -> tuple[int, str]:
        """Status and text of an answer to a request with the key of that kind."""
        headers = {"Authorization": f"Bearer {key(self.workdir, kind)}"} if kind else {}
        link = http.client.HTTPConnection(LOOPBACK, self.ports[port], timeout=30)
        try:
            link.request(*filled(route, "mnist_cnn", "1.0"), headers=headers)
            answer = link.getresponse()
            return answer.status, answer.read().decode()
        finally:
            link.close()

    def call(self, port: str, method: str, kind: str | None) -> str:
        with grpc.insecure_channel(f"{LOOPBACK}:{self.ports[port]}") as channel:
            return grpc_status(channel, method, key(self.workdir, kind) if kind else None)


@pytest.fixture(scope="module")
def everything(payload: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everything]:
    """As in a container, but for the keys: there the operator gives them."""
    workdir = tmp_path_factory.mktemp("ts")
    ports = dict(zip(FLAGS, free_ports(len(FLAGS)), strict=True))
    argv = (
        *(sys.executable, "-m", "serving.torchserve", "serve", "--model_name=mnist_cnn"),
        f"--model_store={payload / 'model-store'}",
        *(f"--workdir={workdir}", f"--metrics_host={LOOPBACK}"),
        *(f"{flag}={ports[port]}" for port, flag in FLAGS.items()),
    )

    def ready() -> bool:
        loaded = is_ready("mnist_cnn", ports["management"], workdir)
        accept = loaded and all(accepts(LOOPBACK, port) for port in ports.values())
        # Our process beside the frontend learns a moment later than is_ready that the worker has loaded the model.
        return accept and Everything(ports, workdir).ask("ready", "GET /ready", None)[0] == 200

    with serve(Recipe("TorchServe", argv, {}, ready), workdir, timeout_s=90):
        yield Everything(ports, workdir)


def test_the_table_has_every_route(everything: Everything) -> None:
    found = set()
    for port in ("inference", "management", "metrics"):
        described = json.loads(everything.ask(port, "OPTIONS /", None)[1])
        assert described["info"]["title"] == "TorchServe APIs"
        paths = described["paths"].items()
        found |= {(port, f"{verb.upper()} {path}") for path, verbs in paths for verb in verbs}
    assert {row for row in TABLE if not row[0].startswith("gRPC")} == found | UNDESCRIBED


def test_the_table_has_every_grpc_method() -> None:
    """Of the frontend's own classes: it offers no reflection."""
    spec = importlib.util.find_spec("ts")
    assert spec is not None
    assert spec.origin is not None
    methods = set()
    for file in (Path(spec.origin).parent / "frontend").glob("*.jar"):
        with zipfile.ZipFile(file) as jar:
            for name in jar.namelist():
                if re.fullmatch(r"org/pytorch/serve/grpc/.*Grpc\.class", name):
                    methods |= set(re.findall(rb"org\.pytorch\.serve\.grpc\.\w+\.\w+Service/\w+", jar.read(name)))
    assert {route for port, route in TABLE if port.startswith("gRPC")} == {f"/{name.decode()}" for name in methods}


@pytest.mark.parametrize(("port", "route"), [row for row in TABLE if not row[0].startswith("gRPC")])
def test_rest_keeps_to_it(everything: Everything, port: str, route: str) -> None:
    who = TABLE[port, route]
    if who == "anyone":
        assert everything.ask(port, route, None)[0] == 200
        return
    own, other = ("inference", "management") if port == "inference" else ("management", "inference")
    for kind in (None, other):
        status, text = everything.ask(port, route, kind)
        assert REFUSED in text, kind
        assert status == 400
    if who != "operator" or route.startswith("GET"):  # what changes the server is only refused here
        status, text = everything.ask(port, route, own)
        assert REFUSED not in text
        assert (status in (404, 405)) == (who == "nobody"), status


@pytest.mark.parametrize(("port", "route"), [row for row in TABLE if row[0].startswith("gRPC")])
def test_grpc_keeps_to_it(everything: Everything, port: str, route: str) -> None:
    own, other = ("inference", "management") if port == "gRPC inference" else ("management", "inference")
    if TABLE[port, route] == "nobody":
        assert everything.call(port, route, own).startswith(("UNIMPLEMENTED", "PERMISSION_DENIED Model API disabled"))
        return
    assert everything.call(port, route, None).startswith("PERMISSION_DENIED")
    assert everything.call(port, route, other).startswith("PERMISSION_DENIED")
    assert not everything.call(port, route, own).startswith(("PERMISSION_DENIED", "UNIMPLEMENTED"))


def test_names_of_strangers_have_no_series(everything: Everything) -> None:
    """Names of models, versions, methods and paths that a client with the key makes up."""

    def series() -> set[str]:
        lines = everything.ask("metrics", "GET /metrics", None)[1].splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}

    for number in range(300):
        for route in (f"/predictions/stranger{number}", f"/predictions/mnist_cnn/stranger{number}", f"/x{number}"):
            assert everything.ask("inference", f"POST {route}", "inference")[0] in (404, 405)
        if number == 0:
            before = series()
    assert series() == before
    assert not any("stranger" in line for line in before)


def test_the_frontend_outlives_half_sent_bodies(everything: Everything) -> None:
    """It has 128 MB for what arrives, and refuses others while these are full."""
    bearer = f"Authorization: Bearer {key(everything.workdir, 'inference')}"
    head = f"POST /predictions/mnist_cnn HTTP/1.1\r\nHost: x\r\n{bearer}\r\nContent-Length: 40000000\r\n\r\n"
    with ExitStack() as held:
        for _ in range(5):
            link = held.enter_context(socket.create_connection((LOOPBACK, everything.ports["inference"]), timeout=2))
            with suppress(OSError):  # dropped
                link.sendall(head.encode() + bytes(39_000_000))
    deadline = time.monotonic() + 30
    while everything.ask("inference", "GET /ping", None)[0] != 200 and time.monotonic() < deadline:
        pass  # until the frontend has seen that they are gone
    assert everything.ask("inference", "POST /predictions/mnist_cnn", "inference")[0] == 415
