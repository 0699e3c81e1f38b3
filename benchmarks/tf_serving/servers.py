"""Starts the servers, offers load, and reads what their processes used."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from networks import Model

from pipelines.loadtest.measure import measure
from pipelines.loadtest.settings import LoadSettings
from serving.clients import Call, Target, open_inference_grpc, tf_serving_grpc, tf_serving_rest
from serving.clients.proto.tf_serving_pb2 import PredictRequest
from serving.launch import LOOPBACK, LaunchRequest, Recipe, Server, free_ports, serve
from serving.tf_serving import recipe as tf_serving_recipe
from serving.wire.tensor_proto import from_array

HERE = Path(__file__).parent
OURS, KSERVE, IN_PROCESS = "slipway", "kserve", "in process"


@dataclass(frozen=True, slots=True)
class Running:
    """A running server of one model."""

    kind: str
    model: Model
    rest: int
    grpc: int
    server: Server
    first_answer_s: float


@dataclass(frozen=True, slots=True)
class Load:
    """The load: ``form`` is "content", "floats" (gRPC) or "json" (REST)."""

    form: str
    clients: int = 1
    seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Measured:
    """CPU time of the server's process per request, and requests per second."""

    cpu_ms: float
    rate_per_s: float
    p50_ms: float
    p99_ms: float | None


@contextmanager
def running(kind: str, model: Model, extra: tuple[str, ...] = ()) -> Iterator[Running]:
    """Starts a server on free ports of the loopback, until the block is left; ``extra`` are flags for ours."""
    with tempfile.TemporaryDirectory() as workdir:
        rest, grpc = free_ports(2)
        if kind == OURS:
            request = LaunchRequest(model.name, model.base_path, Path(workdir), rest, grpc)
            found = tf_serving_recipe.recipe(request)
            recipe = Recipe(found.server, (*found.argv, *extra), found.endpoints, found.ready)
        else:
            argv = (sys.executable, str(HERE / "kserve_server.py"), model.name, str(model.folder), str(rest), str(grpc))
            recipe = Recipe("KServe", argv, {}, lambda: _answers(rest, f"/v2/models/{model.name}/ready"))
        with serve(recipe, Path(workdir)) as server:
            call, body, _ = _request(kind, model, Load("json"), rest, grpc)
            post(rest, call.path, body)
            yield Running(kind, model, rest, grpc, server, server.first_answer())


def offer(target: Running, load: Load) -> Measured:
    """Runs one closed-loop load test from a process of its own; the form of every answer is checked.

    Raises:
        RuntimeError: a request failed or an answer was wrong.
    """
    call, body, check = _request(target.kind, target.model, load, target.rest, target.grpc)
    settings = LoadSettings("offline", load.seconds, 0.4, concurrency=load.clients)
    before = target.server.usage().cpu_s
    with tempfile.TemporaryDirectory() as folder:
        found = measure(call, [body], check, settings, Path(folder))
    used = target.server.usage().cpu_s - before
    got, latency = found.load, found.latency
    if got.errors or found.match_share != 1.0 or latency.p50_ms is None:
        raise RuntimeError(f"{target.kind} {load}: {found.invalid_because} {got.error_examples} {found.match_share}")
    return Measured(1e3 * used / (got.requests + got.warmup_requests), got.rate_per_s, latency.p50_ms, latency.p99_ms)


def in_process(model: Model, seconds: float, callers: int, how: str = "session", rows: int = 1) -> dict[str, float]:
    """Runs ``in_process.py``, and returns what it prints."""
    shape = json.dumps([rows, *model.shape])
    command = [sys.executable, str(HERE / "in_process.py"), str(model.folder), shape]
    done = subprocess.run([*command, str(seconds), str(callers), how], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _request(kind: str, model: Model, load: Load, rest: int, grpc: int) -> tuple[Call, bytes, object]:
    x = model.sample()
    outputs = {"y": "float32"}
    if load.form == "json":
        path = f"/v1/models/{model.name}:predict"
        target = Target(f"http://{LOOPBACK}:{rest}", model.name, outputs)
        call = Call(target.url, path, dict(tf_serving_rest.call(target).headers))
        body = json.dumps({"instances": x.tolist()}).encode()
        return call, body, lambda _, answer: len(json.loads(answer)["predictions"][0]) == 10
    client = tf_serving_grpc if kind == OURS else open_inference_grpc
    target = Target(f"grpc://{LOOPBACK}:{grpc}", model.name, outputs)

    def check(_: int, answer: bytes) -> bool:
        return bool(np.isfinite(client.decode(target, answer)["y"]).all())

    body = client.encode(target, {"x": x})
    if kind == OURS and load.form == "floats":  # as most clients send them
        request = PredictRequest()
        request.model_spec.name = model.name
        from_array(request.inputs["x"], x, "float", 1, as_content=False)
        body = request.SerializeToString()
    return client.call(target), body, check


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    finally:
        connection.close()


def post(port: int, path: str, body: bytes) -> bytes:
    """Returns the body of the answer to one HTTP request. Raises RuntimeError unless its status is 200."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=30)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise RuntimeError(f"{path}: {response.status} {answer[:300]!r}")
    return answer
