"""Paths behind their servers in containers, by the commands: the real images of the repository's Dockerfiles."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from patience import wait_for

from pipelines.paths import PATHS, path_module
from pipelines.report.json_face import read
from pipelines.report.protocol_cost import WAYS
from pipelines.results import Cause, Report
from serving.container.recipe import ContainerRecipe, ExecProbe
from serving.launch import LOOPBACK, LaunchRequest, free_port

VARIABLES = {
    "tf-serving": ("TF_SERVING_IMAGE", "tf_serving"),
    "torchserve": ("TORCHSERVE_IMAGE", "torchserve"),
    "onnxruntime": ("OPEN_INFERENCE_IMAGE", "open_inference"),
}
"""Path -> the variable that names its image, and the folder that builds it."""

COUNTERS = {
    "tf-serving": ":tensorflow:serving:request_count",
    "torchserve": "ts_inference_requests_total",
    "onnxruntime": "request_predict_seconds_count",
}
"""Path -> the counter of requests in its server's metrics."""

PROTOCOLS = ("open-inference-rest", "open-inference-rest-binary", "open-inference-grpc")
NOWHERE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


def refusal(done: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """The one line that a refused command ends with."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    said = [line for line in done.stderr.splitlines() if line.startswith("slipway: ")]
    assert len(said) == 1
    assert done.stderr.endswith(said[0] + "\n")
    return said[0]


def test_every_server_has_a_container() -> None:
    cards = [path_module(name).CARD for name in PATHS]
    assert {card.server for card in cards if card.container} == {card.server for card in cards if card.server}
    assert {card.name for card in cards if card.container} == set(VARIABLES)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("litert", "--container"), "litert has no server: "),
        (("tf-serving", "--container", "--server", "native"), "name a container's image with TF_SERVING_IMAGE"),
        (("tf-serving", "--container", "--host", "0.0.0.0"), "published on 127.0.0.1 only. Received: --host 0.0.0.0"),  # noqa: S104
        (("tf-serving", "--container", "--host", "nowhere"), "published on 127.0.0.1 only. Received: --host nowhere"),
        (("nonesuch", "--container"), "unknown path: 'nonesuch'"),
    ],
)
def test_what_no_container_can_do_is_refused_at_once(fresh_cli: Any, words: tuple[str, ...], says: str) -> None:
    assert says in refusal(fresh_cli("serve", *words))


def test_without_an_engine_nothing_is_trained_for_it(fresh_cli: Any) -> None:
    said = refusal(fresh_cli("serve", "onnxruntime", "--container", env={**os.environ, **NOWHERE}))
    assert "no Docker engine answers at unix:///nowhere/docker.sock: No such file or directory. Install" in said


def test_a_run_without_an_engine_goes_on_and_says_how_to_get_one(cli: Any, trained: Any) -> None:
    words = ("run", "mnist_cnn", "onnxruntime:pytorch", "--containers", "--duration", "0.5", "--budget", "0", "--json")
    done = cli(*words, env={**os.environ, **NOWHERE})
    report = json.loads(done.stdout)
    assert [row["protocol"] for row in report["rows"]] == [None, *PROTOCOLS]
    assert [one["via"] for one in report["containers"]] == ["published port", "container address"] * 3
    for one in report["containers"]:
        assert one["row"]["status"] == "skipped"
        assert "Install Docker Engine and start it" in one["row"]["reason"]
        assert one["image_bytes"] is None
    # Half a second is too short for some load tests: that is the rows' matter, and a skipped one is no failure.
    assert done.returncode == (1 if any(row["status"] == "failed" for row in report["rows"]) else 0)


# -- With an engine -------------------------------------------------------------------------------


def recipe_of(path: str, model: str) -> ContainerRecipe:
    """Return the recipe of a path's container, for a payload that has a file of ONNX Runtime's."""
    module = importlib.import_module(str(path_module(path).CARD.container))
    with tempfile.TemporaryDirectory() as payload:
        (Path(payload) / model).mkdir()
        (Path(payload) / model / "model.onnx").touch()
        return module.container(LaunchRequest(model, Path(payload), Path(), 0, 0))


def asked(path: str, model: str, container: Any, url: str) -> bool:
    """Return the result of a cluster's readiness probe, for a model in a running container."""
    probe = recipe_of(path, model).probe
    if isinstance(probe, ExecProbe):
        return int(container.exec_run(list(probe.words)).exit_code) == 0
    try:
        with urllib.request.urlopen(f"{url}{probe.path}", timeout=10) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return False


def metrics_and_life(path: str, container: Any) -> str:
    """Return the metrics that the manifest names; then the server is frozen, and a connection is still accepted."""
    recipe = recipe_of(path, "mnist_cnn")
    address = container.attrs["NetworkSettings"]["IPAddress"]
    with urllib.request.urlopen(f"http://{address}:{recipe.metrics.port}{recipe.metrics.path}", timeout=10) as answer:
        page = answer.read().decode()
    container.pause()  # more overloaded than that, no server can be
    try:
        rest = next(port.inside for port in recipe.ports.values() if port.scheme == "http")
        socket.create_connection((address, rest), timeout=10).close()
    finally:
        container.unpause()
    return page


@pytest.mark.docker
@pytest.mark.timeout(900)  # where nothing is in the engine's cache, an image takes a minute and more
@pytest.mark.parametrize(
    ("path", "number", "code"),
    [("tf-serving", signal.SIGINT, 0), ("torchserve", signal.SIGTERM, 0), ("onnxruntime", signal.SIGKILL, -9)],
)
def test_a_path_in_its_container_predicts_and_leaves_nothing(
    cli: Any,
    trained: Any,
    built_image: Callable[[str], str],
    docker_client: Any,
    no_container_left: Callable[[], list[str]],
    nothing_left: Callable[[], list[str]],
    path: str,
    number: int,
    code: int,
) -> None:
    variable, folder = VARIABLES[path]
    environment = {**os.environ, variable: built_image(folder)}
    rest = str(free_port())
    process = cli.start("serve", path, "--container", "--rest-port", rest, "--json", env=environment)
    try:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline() or process.communicate()[1])
        assert facts["server"].endswith(f"container of {environment[variable]}")
        (name,) = no_container_left()
        assert asked(path, "mnist_cnn", docker_client.containers.get(name), f"http://{LOOPBACK}:{rest}")
        assert not asked(path, "another", docker_client.containers.get(name), f"http://{LOOPBACK}:{rest}")
        for url in facts["endpoints"].values():
            token = ("--token-file", facts["token_file"]) if facts["token_file"] else ()
            done = cli("predict", path, "--from-test-set", "7", "--url", url, *token)
            assert done.returncode == 0, done.stderr
            assert "(truth: " in done.stdout
        page = metrics_and_life(path, docker_client.containers.get(name))
        assert re.search(rf"^{COUNTERS[path]}\{{[^}}]*\}} [1-9]", page, re.MULTILINE), page
        # Its port is taken now, for a container as for a process.
        said = refusal(cli("serve", path, "--container", "--rest-port", rest, env=environment))
        assert f"port {rest} of {LOOPBACK} cannot be used" in said
    finally:
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == code
    wait_for(lambda: not Path(f"/proc/{facts['pid']}").exists())
    wait_for(lambda: not no_container_left())
    wait_for(lambda: not nothing_left())


@pytest.mark.docker
@pytest.mark.parametrize("name", ["slipway-test/nonesuch:1", "Not A Name"])
def test_an_image_that_is_not_there_is_one_line(cli: Any, trained: Any, docker_client: Any, name: str) -> None:
    said = refusal(cli("serve", "torchserve", "--container", env={**os.environ, "TORCHSERVE_IMAGE": name}))
    assert name in said
    assert "TORCHSERVE_IMAGE" in said


@pytest.mark.docker
def test_an_image_whose_program_cannot_start_is_named(cli: Any, trained: Any, docker_client: Any) -> None:
    """An image that is named may not take the command line of the server."""
    plain = {**os.environ, "TF_SERVING_IMAGE": "python:3.11-slim-bookworm"}
    done = cli("serve", "tf-serving", "--container", env=plain)
    assert done.returncode == 1
    assert "container of python:3.11-slim-bookworm ended while starting (exit code 127); last lines" in done.stderr
    assert "tensorflow_model_server" in done.stderr.splitlines()[-1]


@pytest.mark.docker
def test_a_taken_port_is_one_line(cli: Any, trained: Any, docker_client: Any) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        taken = str(listener.getsockname()[1])
        said = refusal(cli("serve", "onnxruntime", "--container", "--grpc-port", taken))
    assert f"port {taken} of {LOOPBACK} cannot be used" in said


SCENARIOS = ("--scenario", "single-stream", "--scenario", "server")


@pytest.fixture(scope="module")
def report(cli: Any, trained: Any, built_image: Callable[[str], str]) -> Report:
    """A run with one path in its container, and one whose image does not exist."""
    environment = {
        **os.environ,
        "OPEN_INFERENCE_IMAGE": built_image("open_inference"),
        "TF_SERVING_IMAGE": "slipway-test/nonesuch:1",
    }
    words = ("run", "mnist_cnn", "onnxruntime:pytorch", "tf-serving:fp32", "litert:int8", "--containers")
    done = cli(*words, "--duration", "2", "--budget", "0", *SCENARIOS, env=environment)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "What a container costs" in done.stdout
    return read(cli.workspace / "reports" / "mnist_cnn" / "latest" / "report.json")


@pytest.mark.docker
@pytest.mark.timeout(600)
class TestRun:
    def test_it_measures_every_way_to_the_container(self, report: Report) -> None:
        ours = [one for one in report.containers if one.row.path == "onnxruntime"]
        assert [(one.row.way, one.via) for one in ours] == [
            (protocol, via) for protocol in PROTOCOLS for via in ("published port", "container address")
        ]
        for one in ours:
            assert one.row.status == "ok", one
            assert one.image_bytes is not None
            assert one.image_bytes > 100e6
            assert one.start_s is not None
            assert one.row.cold_start_s is not None
            assert 0 < one.start_s <= one.row.cold_start_s
            assert one.row.peak_memory_bytes is not None
            assert one.row.peak_memory_bytes > 50e6
            assert [load.name for load in one.row.scenarios] == ["single-stream", "server"]
            for load in one.row.scenarios:
                assert load.valid or Cause.MACHINE in load.invalid_causes, load.invalid_because
                assert load.match_share == 1.0
                assert load.server.cpu_ms_per_request is not None
            proxied = sum(load.server.proxy_cpu_ms_per_request or 0 for load in one.row.scenarios)
            assert (proxied > 0) == (one.via == "published port")

    def test_each_layer_is_over_the_one_below(self, report: Report) -> None:
        mine = [one for one in report.protocol_cost if one.path == "onnxruntime"]
        assert [(one.protocol, one.via) for one in mine] == [
            ("in-process", "in-process"),
            *((protocol, via) for protocol in PROTOCOLS for via in ("bare process", *WAYS)),
        ]
        sound = [one for one in mine if one.why_missing is None]
        assert all(one.p50_ms and one.server_cpu_ms for one in sound)
        # A machine that others use may disturb a load test: its layer has no figures, and says so.
        assert all("the load test is not valid: " in str(one.why_missing) for one in mine if one not in sound)
        for protocol in PROTOCOLS:
            bare, address, port = layers = [one for one in mine if one.protocol == protocol]
            if not all(one in sound for one in (mine[0], *layers)):
                continue
            assert (bare.below, address.below) == ("in-process", f"{protocol}, bare process")
            assert port.below == f"{protocol}, container address"
            assert bare.added_ms is not None
            assert bare.added_ms > 0
            assert port.proxy_cpu_ms
            assert (address.proxy_cpu_ms, bare.proxy_cpu_ms) == (None, None)
            assert bare.request_bytes == address.request_bytes == port.request_bytes
        sizes = {one.protocol: one.request_bytes for one in sound if one.via == "bare process"}
        binary = [sizes[name] for name in ("open-inference-grpc", "open-inference-rest-binary") if name in sizes]
        assert [*binary, 28 * 28 * 4 + 200] == sorted([*binary, 28 * 28 * 4 + 200])  # type: ignore[type-var]
        not_there = [one for one in report.protocol_cost if one.protocol == "tf-serving-rest-binary"]
        assert [(one.p50_ms, "no binary tensors" in (one.why_missing or "")) for one in not_there] == [(None, True)]

    def test_what_has_no_image_is_skipped_with_what_to_do(self, report: Report) -> None:
        others = [one for one in report.containers if one.row.path == "tf-serving"]
        assert len(others) == 4
        assert {one.row.status for one in others} == {"skipped"}
        assert all("Set TF_SERVING_IMAGE to another image" in (one.row.reason or "") for one in others)
        assert not [one for one in report.containers if one.row.path == "litert"]

    @pytest.mark.usefixtures("report")
    def test_its_log_is_kept(self, cli: Any) -> None:
        logs = cli.workspace / "reports" / "mnist_cnn" / "latest" / "logs"
        assert (logs / "container-onnxruntime-pytorch.log").stat().st_size > 0
