"""TorchServe itself: started, asked right and wrong, and stopped."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import safetensors.numpy
import yaml
from patience import until
from PIL import Image

from models.trained import TrainedModel
from pipelines.paths import torchserve
from serving.clients import Call, Target, client
from serving.clients.transport import Refused, send
from serving.launch import LaunchError, LaunchRequest, Recipe, Server, free_ports, log_tail, serve
from serving.torchserve.frontend import direct_memory_mb
from serving.torchserve.recipe import FLAVOURS, recipe

DELAY_S = 20
"""The time that TorchServe waits for a full batch: longer than any busy machine takes for four requests."""

REST, BINARY, GRPC = PROTOCOLS = ("torchserve-rest", "torchserve-rest-binary", "torchserve-grpc")
Started = tuple[Recipe, Server, Path]


def family(server: Server) -> list[psutil.Process]:
    """The frontend and its workers."""
    frontend = psutil.Process(server.pid)
    return [frontend, *frontend.children(recursive=True)]


def gone(processes: list[psutil.Process]) -> bool:
    return all(not process.is_running() or process.status() == psutil.STATUS_ZOMBIE for process in processes)


def rest(target: Target, kind: str) -> Call:
    call = client("torchserve-rest").call(target)
    return replace(call, headers={**call.headers, "content-type": kind})


def test_what_it_is(started: Started) -> None:
    launched, server, workdir = started
    assert FLAVOURS == ("torchserve",)
    assert launched.server == "TorchServe 0.12.0 (Java 21)"
    assert set(launched.endpoints) == set(PROTOCOLS)
    names = [process.name() for process in family(server)]
    assert names[0] == "java"
    assert len(names) == 2
    assert (workdir / "key_file.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("rows", [1, 2, 5, 16])
def test_answers_equal_those_in_process(
    targets: dict[str, Target], payload: Path, images: np.ndarray, protocol: str, rows: int
) -> None:
    inputs = {"image": images[:rows]}
    target, codec = targets[protocol], client(protocol)
    outputs = codec.decode(target, send(codec.call(target), codec.encode(target, inputs)))
    assert outputs["logits"].dtype == np.float32
    assert np.array_equal(outputs["logits"], torchserve.open(payload, 1).predict(inputs)["logits"])


def test_on_ipv6_every_announced_address_answers(payload: Path, images: np.ndarray, ipv6_loopback: str) -> None:
    ports = free_ports(2, ipv6_loopback)
    inputs = {"image": images[:2]}
    with tempfile.TemporaryDirectory() as short:  # for TorchServe's sockets
        launched = recipe(LaunchRequest("mnist_cnn", payload, Path(short), *ports, host=ipv6_loopback))
        with serve(launched, Path(short), timeout_s=90):
            for protocol, url in launched.endpoints.items():
                target, codec = Target(url, "mnist_cnn", {"logits": "float32"}, launched.token()), client(protocol)
                outputs = codec.decode(target, send(codec.call(target), codec.encode(target, inputs)))
                expected = torchserve.open(payload, 1).predict(inputs)["logits"]
                assert np.array_equal(outputs["logits"], expected), protocol


def test_safetensors_over_rest(targets: dict[str, Target], payload: Path, images: np.ndarray) -> None:
    inputs = {"image": images[:3]}
    call = rest(targets["torchserve-rest"], "application/octet-stream")
    outputs = safetensors.numpy.load(send(call, safetensors.numpy.save(inputs)))
    assert np.array_equal(outputs["logits"], torchserve.open(payload, 1).predict(inputs)["logits"])


@pytest.mark.parametrize("format_", ["png", "jpeg"])
def test_a_picture_gets_labels(
    targets: dict[str, Target], trained: TrainedModel, images: np.ndarray, format_: str
) -> None:
    reference = trained.reference({"image": images})["logits"]
    surest = int(np.argmax(np.sort(reference)[:, -1] - np.sort(reference)[:, -2]))
    pixels = np.round(images[surest] * 255).astype("uint8")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_, quality=95)
    answer = json.loads(send(rest(targets["torchserve-rest"], f"image/{format_}"), buffer.getvalue()))
    assert len(answer) == 5
    assert next(iter(answer)) == str(reference[surest].argmax())
    assert answer[str(reference[surest].argmax())] > 0.5


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"image": np.zeros((2, 5, 28), "float32")}, "Received: float32 of shape (2, 5, 28)"),
        ({"picture": np.zeros((2, 28, 28), "float32")}, "the inputs must be image. Received: picture"),
    ],
)
def test_a_bad_request_is_refused_with_the_reason(
    targets: dict[str, Target], protocol: str, inputs: dict[str, np.ndarray], message: str
) -> None:
    target, codec = targets[protocol], client(protocol)
    with pytest.raises(Refused) as refused:
        send(codec.call(target), codec.encode(target, inputs))
    assert refused.value.status == {GRPC: "INVALID_ARGUMENT"}.get(protocol, "400")
    assert message in str(refused.value)


def test_a_deeply_nested_body_is_the_clients_mistake(targets: dict[str, Target]) -> None:
    body = b'{"inputs": ' + b"[" * 1100 + b"]" * 1100 + b"}"
    with pytest.raises(Refused, match="no JSON") as refused:
        send(rest(targets["torchserve-rest"], "application/json"), body)
    assert refused.value.status == "400"


def test_curl_sends_a_picture_and_json_without_a_content_type(
    targets: dict[str, Target], images: np.ndarray, tmp_path: Path
) -> None:
    """TorchServe's documented call."""
    picture, text = tmp_path / "digit.png", tmp_path / "digit.json"
    Image.fromarray(np.round(images[0] * 255).astype("uint8")).save(picture)
    text.write_text(json.dumps({"inputs": {"image": images[:1].tolist()}}))
    call = rest(targets["torchserve-rest"], "")
    answers = [
        json.loads(
            subprocess.run(
                [
                    "curl",
                    "-sS",
                    "-H",
                    f"Authorization: {call.headers['authorization']}",
                    call.url + call.path,
                    "-T",
                    file,
                ],
                capture_output=True,
                timeout=60,
                check=True,
            ).stdout
        )
        for file in (picture, text)
    ]
    assert len(answers[0]) == 5
    assert len(answers[1]["outputs"]["logits"][0]) == 10


@pytest.mark.parametrize("method", ["gzip", "deflate"])
def test_compressed_bodies_are_not_inflated(targets: dict[str, Target], method: str) -> None:
    """Neither the frontend nor the handler does it, so that a small body stays small."""
    pack = {"gzip": gzip.compress, "deflate": zlib.compress}[method]
    call = rest(targets["torchserve-rest"], "application/json")
    with pytest.raises(Refused) as refused:
        send(replace(call, headers={**call.headers, "content-encoding": method}), pack(b" " * 2**27))
    assert refused.value.status == "400"


def test_other_bodies_are_refused(targets: dict[str, Target]) -> None:
    whole = safetensors.numpy.save({"image": np.zeros((1, 28, 28), "float32")})
    for kind, body, status in (
        ("image/png", b"no picture", "400"),
        ("application/json", b"{", "400"),
        ("text/csv", b"1,2", "415"),
        ("application/octet-stream", b"", "400"),
        ("application/octet-stream", b"\xff" * 8 + b"{}", "400"),  # a header longer than the body
        ("application/octet-stream", whole[:-4], "400"),  # tensors that end after the body
        ("application/octet-stream", whole + b"more", "400"),
        ("application/octet-stream", whole.replace(b"F32", b"F64"), "400"),
        ("application/octet-stream", whole.replace(b"F32", b"I32"), "400"),
    ):
        with pytest.raises(Refused) as refused:
            send(rest(targets["torchserve-rest"], kind), body)
        assert refused.value.status == status


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("token", [None, "guess"])
def test_without_the_token_nothing_is_answered(targets: dict[str, Target], protocol: str, token: str | None) -> None:
    target, codec = replace(targets[protocol], token=token), client(protocol)
    with pytest.raises(Refused, match="Token Authorization failed") as refused:
        send(codec.call(target), codec.encode(target, {"image": np.zeros((1, 28, 28), "float32")}))
    assert refused.value.status == {GRPC: "PERMISSION_DENIED"}.get(protocol, "400")


def test_no_model_can_be_registered(started: Started) -> None:
    _, _, workdir = started
    settings = dict(
        line.split("=", 1) for line in (workdir / "config.properties").read_text().splitlines() if "=" in line
    )
    management = settings["management_address"]
    key = json.loads((workdir / "key_file.json").read_text())["management"]["key"]
    call = Call(management, "/models?url=https://127.0.0.1:1/evil.mar", {"authorization": f"Bearer {key}"})
    with pytest.raises(Refused) as refused:
        send(call, b"")
    assert refused.value.status == "405"


def test_it_listens_on_loopback_only(started: Started) -> None:
    _, server, _ = started
    addresses = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in family(server)
        for connection in process.connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_keys_are_in_no_log_and_no_command_line(started: Started, targets: dict[str, Target]) -> None:
    launched, server, workdir = started
    keys = [entry["key"] for entry in json.loads((workdir / "key_file.json").read_text()).values()]
    assert len(keys) == 3
    shown = server.log.read_text() + repr(launched) + repr(targets)
    shown += "".join(" ".join(process.cmdline()) for process in family(server))
    assert not [key for key in keys if key in shown]


def test_what_a_client_does_wrong_is_not_logged_as_an_error(started: Started, targets: dict[str, Target]) -> None:
    _, server, _ = started
    with pytest.raises(Refused):
        send(rest(targets["torchserve-rest"], "application/json"), b"{}")
    assert "Traceback" not in server.log.read_text()


def batching(payload: Path, folder: Path) -> Path:
    """The archive with batches of up to 4 requests, which wait up to 1 s for each other."""
    (folder / "model-store").mkdir(parents=True)
    name = "model-store/mnist_cnn.mar"
    with zipfile.ZipFile(payload / name) as source, zipfile.ZipFile(folder / name, "w") as changed:
        for entry in source.namelist():
            content = source.read(entry)
            if entry == torchserve.CONFIG:
                config = {**yaml.safe_load(content), "batchSize": 4, "maxBatchDelay": 1000 * DELAY_S}
                content = yaml.safe_dump(config).encode()
            changed.writestr(entry, content)
    return folder


def test_in_a_batch_a_bad_request_spares_its_neighbours(payload: Path, tmp_path: Path, images: np.ndarray) -> None:
    workdir = tmp_path / "work"
    workdir.mkdir()
    launched = recipe(LaunchRequest("mnist_cnn", batching(payload, tmp_path / "payload"), workdir, *free_ports(2)))
    asked = [{"image": images[:2]}, {"image": images[:1, :5]}, {"image": images[2:5]}, {"image": images[5:6]}]
    with serve(launched, workdir, timeout_s=90) as server:
        codec = client("torchserve-rest")
        target = Target(launched.endpoints["torchserve-rest"], "mnist_cnn", {"logits": "float32"}, launched.token())

        def ask(inputs: dict[str, np.ndarray]) -> np.ndarray | str:
            try:
                return codec.decode(target, send(codec.call(target), codec.encode(target, inputs)))["logits"]
            except Refused as refused:
                return refused.status

        started = time.monotonic()
        with ThreadPoolExecutor(len(asked)) as pool:
            answers = list(pool.map(ask, asked))
        assert time.monotonic() - started < DELAY_S, "a full batch does not wait: these four were not one batch"
        processes = family(server)
    assert gone(processes)
    expected = [torchserve.open(payload, 1).predict(inputs)["logits"] for inputs in (asked[0], asked[2], asked[3])]
    assert answers[1] == "400"
    for answer, wanted in zip((answers[0], answers[2], answers[3]), expected, strict=True):
        assert isinstance(answer, np.ndarray)
        assert np.abs(answer - wanted).max() < 1e-5  # another batch size may sum in another order


def test_workers_end_when_the_frontend_is_killed(payload: Path, tmp_path: Path) -> None:
    launched = recipe(LaunchRequest("mnist_cnn", payload, tmp_path, *free_ports(2)))
    with serve(launched, tmp_path, timeout_s=90) as server:
        processes = family(server)
        assert len(processes) == 2
        os.kill(server.pid, signal.SIGKILL)
        assert until(lambda: gone(processes))


def test_everything_ends_when_its_starter_is_killed(payload: Path, tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
import psutil
from serving.launch import LaunchRequest, free_ports, serve
from serving.torchserve.recipe import recipe
payload, workdir = map(Path, sys.argv[1:])
with serve(recipe(LaunchRequest("mnist_cnn", payload, workdir, *free_ports(2))), workdir, 90) as server:
    print(*[child.pid for child in psutil.Process().children(recursive=True)], flush=True)
    sys.stdin.read()
"""
    starter = subprocess.Popen(
        [sys.executable, "-c", script, str(payload), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    processes = [psutil.Process(int(pid)) for pid in starter.stdout.readline().split()]
    assert len(processes) == 2
    starter.kill()
    starter.communicate()
    assert until(lambda: gone(processes))


def test_a_model_that_does_not_load_says_why_in_the_log(payload: Path, tmp_path: Path) -> None:
    (tmp_path / "payload" / "model-store").mkdir(parents=True)
    name = "model-store/mnist_cnn.mar"
    with zipfile.ZipFile(payload / name) as source, zipfile.ZipFile(tmp_path / "payload" / name, "w") as changed:
        for entry in source.namelist():
            changed.writestr(entry, b"no program" if entry == "model.pt2" else source.read(entry))
    workdir = tmp_path / "work"
    workdir.mkdir()
    launched = recipe(LaunchRequest("mnist_cnn", tmp_path / "payload", workdir, *free_ports(2)))
    server = Server(launched, workdir)
    try:
        assert until(lambda: "torch/export" in log_tail(server.log, 400))
        with pytest.raises(LaunchError, match="not ready"):
            server.wait_until_ready(time.monotonic() - server.started + 0.5)
    finally:
        server.stop()


@pytest.mark.parametrize("protocol", [REST, GRPC])
def test_a_port_in_use_is_an_error(payload: Path, started: Started, tmp_path: Path, protocol: str) -> None:
    launched, _, _ = started
    taken = int(launched.endpoints[protocol].rpartition(":")[2])
    ports = (taken, *free_ports(1)) if protocol == PROTOCOLS[0] else (*free_ports(1), taken)
    request = LaunchRequest("mnist_cnn", payload, tmp_path, *ports)
    with pytest.raises(LaunchError, match="ended while starting"), serve(recipe(request), tmp_path, timeout_s=60):
        pass


def test_a_working_folder_with_too_long_a_path_is_refused(payload: Path, tmp_path: Path) -> None:
    workdir = tmp_path / ("x" * 100)
    workdir.mkdir()
    with pytest.raises(LaunchError, match="shorter path"):
        recipe(LaunchRequest("mnist_cnn", payload, workdir, 1, 2))


@pytest.mark.parametrize(
    ("shape", "megabytes"),
    [([None, 28, 28], 128), ([None, 224, 224, 3], 8 * 16 * 6 * 4 * 224 * 224 * 3 // 2**20), ([None, None], 128)],
)
def test_the_frontend_has_room_for_requests_of_the_models_size(
    tmp_path: Path, shape: list[int | None], megabytes: int
) -> None:
    archive = tmp_path / "m.mar"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("model-config.yaml", json.dumps({"slipway": {"inputs": [{"dtype": "float32", "shape": shape}]}}))
    assert direct_memory_mb(archive) == megabytes


def test_an_archive_that_cannot_be_read_is_for_the_frontend_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "damaged.mar").write_bytes(b"PK")
    assert direct_memory_mb(tmp_path / "damaged.mar") == direct_memory_mb(tmp_path / "none.mar") == 128
