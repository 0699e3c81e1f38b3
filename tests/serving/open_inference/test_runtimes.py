"""Every runtime behind the Open Inference server: answers are those in process, and a mistake is one line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cxx import NEEDS_COMPILER

from models.mnist_cnn import SPEC
from pipelines.paths import Session
from pipelines.paths.behind import open_behind
from serving.clients import Target, client
from serving.clients.transport import Refused, send
from serving.launch import LOOPBACK, LaunchError, LaunchRequest, Recipe, Server, free_ports, serve
from serving.open_inference.recipe import recipe
from serving.open_inference.runtimes import RUNTIMES, SIGNATURE, NotLoadable, Tensor, find_model, runtime
from serving.open_inference.state import is_ready

REFUSED = {
    "open-inference-rest": "400",
    "open-inference-rest-binary": "400",
    "open-inference-grpc": "INVALID_ARGUMENT",
}
IMAGE = np.zeros((2, 28, 28), "float32")
MODEL = "mnist_cnn"
GRPC = "open-inference-grpc"
SIGNED = ("torch-export", "executorch")
"""Runtimes whose programs have a signature beside them."""

HERE = [pytest.param(name, marks=NEEDS_COMPILER if name == "aotinductor" else ()) for name in RUNTIMES]

Payloads = Callable[[str], Path]


@dataclass(frozen=True, slots=True)
class Behind:
    """A server with one runtime, and the same file opened in this process."""

    runtime: str
    payload: Path
    recipe: Recipe
    server: Server
    session: Session

    def ask(self, protocol: str, images: np.ndarray) -> np.ndarray:
        codec, target = client(protocol), Target(self.recipe.endpoints[protocol], MODEL, {"logits": "float32"})
        body = codec.encode(target, {"image": images})
        return codec.decode(target, send(codec.call(target, body), body))["logits"]

    def agrees(self, protocol: str, images: np.ndarray) -> bool:
        return np.array_equal(self.ask(protocol, images), self.session.predict({"image": images})["logits"])


@pytest.fixture(scope="module", params=HERE)
def behind(
    request: pytest.FixtureRequest, payloads: Payloads, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Behind]:
    workdir, payload = tmp_path_factory.mktemp("server"), payloads(request.param)
    launched = recipe(LaunchRequest(MODEL, payload, workdir, *free_ports(2)))
    with serve(launched, workdir, timeout_s=120) as server, open_behind(request.param, payload, 1) as session:
        yield Behind(request.param, payload, launched, server, session)


def metadata(rest: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{rest}/v2/models/{MODEL}", timeout=30) as answer:
        return dict(json.load(answer))


@pytest.mark.parametrize("name", HERE)
def test_each_runtime_is_the_one_of_its_endings(payloads: Payloads, name: str) -> None:
    file = find_model(payloads(name) / MODEL)
    assert file is not None
    assert file.name in RUNTIMES[name]


class TestServed:
    @pytest.mark.parametrize("protocol", REFUSED)
    def test_answers_equal_those_in_process(self, behind: Behind, images: np.ndarray, protocol: str) -> None:
        for rows in (1, 3, 16, 1):
            assert behind.agrees(protocol, images[:rows]), rows

    def test_metadata_is_the_models(self, behind: Behind) -> None:
        assert metadata(behind.recipe.endpoints["open-inference-rest"]) == {
            "name": MODEL,
            "versions": ["1"],
            "platform": runtime(behind.runtime).PLATFORM,
            "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 28, 28]}],
            "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}],
        }

    def test_its_name_and_version_are_told(self, behind: Behind) -> None:
        assert f"Python server, {runtime(behind.runtime).TITLE} " in behind.recipe.server

    @pytest.mark.parametrize("protocol", REFUSED)
    def test_what_does_not_fit_is_refused_and_the_server_goes_on(
        self, behind: Behind, images: np.ndarray, protocol: str
    ) -> None:
        behind.ask(protocol, IMAGE)
        before = behind.server.log.read_bytes()
        for wrong, received in (
            (IMAGE[:, :5], "FP32 of shape [2, 5, 28]"),
            (IMAGE[0], "FP32 of shape [28, 28]"),
            (IMAGE[:0], "FP32 of shape [0, 28, 28]"),
            (IMAGE.astype("float64"), "FP64 of shape [2, 28, 28]"),
        ):
            with pytest.raises(Refused) as refused:
                behind.ask(protocol, wrong)
            assert refused.value.status == REFUSED[protocol]
            assert f"must be FP32 of shape [-1, 28, 28], -1: 1 or more. Received: {received}" in str(refused.value)
        assert behind.agrees(protocol, images[:3])
        assert behind.server.log.read_bytes() == before  # requests, good and bad, leave no line

    @pytest.mark.parametrize("protocol", REFUSED)
    def test_a_batch_that_is_too_large_is_refused(self, behind: Behind, protocol: str) -> None:
        largest, larger = (np.zeros((rows, 28, 28), "float32") for rows in (SPEC.max_batch, SPEC.max_batch + 2))
        assert behind.agrees(protocol, largest)
        if behind.runtime != "executorch":
            assert behind.agrees(protocol, larger)
            return
        with pytest.raises(Refused) as refused:
            behind.ask(protocol, larger)
        assert refused.value.status == REFUSED[protocol]
        assert f"must be of shape [{SPEC.max_batch + 1}, 28, 28] at most" in str(refused.value)
        assert f"Received: [{SPEC.max_batch + 2}, 28, 28]" in str(refused.value)
        assert behind.agrees(protocol, IMAGE)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts another process's page faults")
def test_a_server_keeps_memory_where_every_operation_takes_some(payloads: Payloads, tmp_path: Path) -> None:
    """Results of operations have up to 20 MB. A request took 37,000 pages with these given back, 11,000 if kept."""
    rows, payload = np.zeros((400, 28, 28), "float32"), payloads("torch-export")
    launched = recipe(LaunchRequest(MODEL, payload, tmp_path, *free_ports(2)))
    codec, target = client(GRPC), Target(launched.endpoints[GRPC], MODEL, {"logits": "float32"})
    body = codec.encode(target, {"image": rows})
    with serve(launched, tmp_path, timeout_s=120) as server:
        for calls in (5, 10):
            before = page_faults(server.pid)
            for _ in range(calls):
                send(codec.call(target, body), body)
        served = page_faults(server.pid) - before
    assert served / calls < 20_000


def page_faults(pid: int) -> int:
    """Count the pages that a process was given: field 10 of its stat, see proc(5)."""
    told = Path(f"/proc/{pid}/stat").read_text()
    return int(told.rpartition(")")[2].split()[7])


def damaged(name: str, payloads: Payloads, folder: Path, content: Callable[[bytes], bytes]) -> Path:
    """A copy of the model's folder with another content of its file."""
    shutil.copytree(payloads(name) / MODEL, folder)
    file = find_model(folder)
    assert file is not None
    file.write_bytes(content(file.read_bytes()))
    return file


NOISE = np.random.default_rng(1)
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: whole[:0],
    "head": lambda whole: whole[:64],
    "half": lambda whole: whole[: len(whole) // 2],
    "almost": lambda whole: whole[:-100],
    "zeros": lambda whole: bytes(len(whole)),
    "noise": lambda whole: NOISE.bytes(len(whole)),
}


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_not_loadable(name: str, damage: str, payloads: Payloads, tmp_path: Path) -> None:
    file = damaged(name, payloads, tmp_path / MODEL, DAMAGES[damage])
    with pytest.raises(NotLoadable, match=str(file)):
        runtime(name).load(file, 1)


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b'{"inputs": [], "outputs": 7}'])
@pytest.mark.parametrize("name", SIGNED)
def test_a_program_needs_its_signature(name: str, content: bytes | None, payloads: Payloads, tmp_path: Path) -> None:
    file = damaged(name, payloads, tmp_path / MODEL, lambda whole: whole)
    (file.parent / SIGNATURE).unlink()
    if content is not None:
        (file.parent / SIGNATURE).write_bytes(content)
    with pytest.raises(NotLoadable, match=SIGNATURE):
        runtime(name).load(file, 1)


@pytest.mark.parametrize("name", SIGNED)
def test_a_signature_is_that_of_its_program(name: str, payloads: Payloads, tmp_path: Path) -> None:
    file = damaged(name, payloads, tmp_path / MODEL, lambda whole: whole)
    signature = json.loads((file.parent / SIGNATURE).read_text())
    signature["outputs"] *= 2
    (file.parent / SIGNATURE).write_text(json.dumps(signature))
    with pytest.raises(NotLoadable, match=r"1 inputs and 1 outputs\. Received: a signature with 1 and 2"):
        runtime(name).load(file, 1)


def test_openvino_needs_its_weights(payloads: Payloads, tmp_path: Path) -> None:
    file = damaged("openvino", payloads, tmp_path / MODEL, lambda whole: whole)
    weights = file.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(NotLoadable, match="cannot be loaded"):
        runtime("openvino").load(file, 1)
    weights.unlink()
    with pytest.raises(NotLoadable, match="cannot be loaded"):
        runtime("openvino").load(file, 1)


def test_a_type_that_the_protocol_has_no_name_for_is_not_loadable() -> None:
    with pytest.raises(NotLoadable, match=r"'words' has a type that is not served here\. Received: string"):
        Tensor("words", "string", (-1,))


def refusal(*words: str, before: str = "pass") -> str:
    """The last line of a server that ends at once with exit code 2; ``before`` are statements that run first."""
    rest, grpc = free_ports(2)
    argv = ["", "serve", f"--model_name={MODEL}", f"--http_port={rest}", f"--grpc_port={grpc}", *words]
    program = f"""
import runpy, sys
{before}
sys.argv = {argv!r}
runpy.run_module("serving.open_inference", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", HERE)
def test_a_damaged_file_ends_the_server_with_one_line(name: str, payloads: Payloads, tmp_path: Path) -> None:
    file = damaged(name, payloads, tmp_path / MODEL, DAMAGES["half"])
    said = refusal(f"--model_path={file}")
    assert said.startswith(f"open_inference: {file} cannot be loaded: ")
    assert f"Package the model again: slipway package {MODEL} {name};" in said


def test_a_file_of_an_unknown_ending_ends_the_server_with_one_line(payloads: Payloads, tmp_path: Path) -> None:
    file = shutil.copy(payloads("onnxruntime") / MODEL / "model.onnx", tmp_path / "model.bin")
    said = refusal(f"--model_path={file}")
    assert "must end in .onnx, .ort, .xml, .pt2, .aoti.pt2, .pte, .tflite, or --runtime name its runtime" in said
    assert f"Received: {file}. Package the model first: slipway package {MODEL} onnxruntime;" in said


def test_a_runtime_that_is_named_wins_over_the_ending(payloads: Payloads, tmp_path: Path) -> None:
    file = shutil.copy(payloads("onnxruntime") / MODEL / "model.onnx", tmp_path / "model.tflite")
    assert f"slipway package {MODEL} litert;" in refusal(f"--model_path={file}")
    assert f"slipway package {MODEL} torch-export;" in refusal(f"--model_path={file}", "--runtime=torch-export")
    rest, grpc = free_ports(2)
    argv = (
        *(sys.executable, "-m", "serving.open_inference", "serve", f"--model_name={MODEL}", f"--model_path={file}"),
        *("--runtime=onnxruntime", f"--http_port={rest}", f"--grpc_port={grpc}"),
    )
    launched = Recipe("KServe", argv, {}, lambda: is_ready(MODEL, LOOPBACK, rest, grpc))
    with serve(launched, tmp_path, timeout_s=90):
        assert metadata(f"http://{LOOPBACK}:{rest}")["platform"] == "onnxruntime_onnx"


@pytest.mark.parametrize("name", HERE)
def test_a_runtime_that_is_not_installed_is_named(name: str, payloads: Payloads) -> None:
    about = runtime(name)
    module = about.DISTRIBUTIONS[0].replace("-", "_")
    said = refusal(f"--model_path={find_model(payloads(name) / MODEL)}", before=f"sys.modules[{module!r}] = None")
    assert f"{about.TITLE} needs {' and '.join(about.DISTRIBUTIONS)}: " in said
    assert f"{name}]" in said or f"EXTRAS={name}" in said  # the command that brings it
    assert "slipway package" not in said


def test_a_payload_without_a_file_is_not_served(tmp_path: Path) -> None:
    (tmp_path / MODEL).mkdir()
    with pytest.raises(LaunchError, match=f"no file that a runtime loads. Received: {tmp_path / MODEL}"):
        recipe(LaunchRequest(MODEL, tmp_path, tmp_path, *free_ports(2)))
