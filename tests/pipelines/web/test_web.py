"""The back end with a real server: what a person asks, and what comes back."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from patience import wait_for
from PIL import Image
from web_client import Visitor

from models.trained import TrainedModel
from pipelines.artifacts import reference
from pipelines.stages.answers import REFERENCE
from serving.clients import Target, client
from serving.clients.proto.open_inference_pb2 import ModelInferResponse

NAME = "onnxruntime:pytorch"
PROTOCOLS = ["open-inference-rest", "open-inference-rest-binary", "open-inference-grpc"]


def file_of(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def rows(trained: TrainedModel) -> np.ndarray:
    """The test data, float32 (N, 28, 28), as the reference keeps it."""
    return reference.read(trained.weights.parent / REFERENCE).inputs[reference.EVALUATION]["image"]


@pytest.fixture(scope="module")
def digits(rows: np.ndarray) -> np.ndarray:
    """The test data as pixels, uint8 (N, 28, 28)."""
    return np.rint(rows * 255).astype(np.uint8)


def test_the_page_tells_what_it_is_about(visitor: Visitor, rows: np.ndarray) -> None:
    about = json.loads(visitor.get("/about")[2])
    assert (about["model"], about["digits"], about["texts"]) == ("mnist_cnn", True, False)
    assert about["samples"] == len(rows)
    for name in ("main.mjs", "web.css", "icon.svg"):
        status, headers, body = visitor.get(f"/page/{name}")
        assert status == 200
        assert body
    assert headers["content-type"] == "image/svg+xml"
    status, headers, body = visitor.get("/plotly-6.js")
    assert status == 200
    assert b"plotly.js" in body[:200]
    assert headers["content-type"].startswith("text/javascript")


def test_a_row_is_asked_over_every_protocol(visitor: Visitor, rows: np.ndarray) -> None:
    found = visitor.ask({"row": 0})
    (given,), (reference,) = found["input"], found["reference"]
    assert (given["title"], given["truth"], given["warnings"]) == ("test row 0", "7", [])
    assert [(call["server"], call["protocol"]) for call in given["calls"]] == [(NAME, name) for name in PROTOCOLS]
    assert reference["labels"][0]["label"] == "7"
    answers = {answer["protocol"]: answer for answer in found["answer"]}
    assert sorted(answers) == sorted(PROTOCOLS)
    row = {"image": rows[:1]}
    for protocol, answer in answers.items():
        assert answer["status"] == "ok"
        assert len(answer["labels"]) == 5
        assert answer["labels"][0] == pytest.approx(reference["labels"][0], abs=1e-4)
        assert answer["verdict"] == "within"
        assert 0 <= answer["max_abs"] < 1e-3
        target = Target("http://h:1", "mnist_cnn", {"logits": "float32"})
        assert answer["sent_bytes"] == len(client(protocol).encode(target, row))
        assert answer["received_bytes"] > 40  # ten float32
        assert answer["latency_ms"] > 0
        assert answer["page_ms"] > 0


def test_a_picture_is_read_as_predict_reads_it(
    cli: Any, visitor: Visitor, digits: np.ndarray, turned_seven: Path
) -> None:
    turned = turned_seven.read_bytes()
    (predicted,) = cli.json("predict", "onnxruntime", str(turned_seven), "--top", "5")
    for content in (turned, file_of(digits[0], "PNG")):
        found = visitor.ask(content, content_type="image/jpeg")
        assert found["reference"][0]["status"] == "ok"
        for answer in found["answer"]:
            assert answer["labels"][0]["label"] == "7"
            assert answer["verdict"] == "within"
        if content is turned:
            for answer in found["answer"]:
                ours = {label["label"]: label["probability"] for label in answer["labels"]}
                theirs = {label["label"]: label["probability"] for label in predicted["labels"]}
                assert ours == pytest.approx(theirs, abs=1e-4)
    seen = found["input"][0]["seen"]
    assert (seen["width"], seen["height"], seen["channels"]) == (28, 28, 1)


def test_a_picture_unlike_all_training_data_is_warned_of(visitor: Visitor, digits: np.ndarray) -> None:
    (given,) = visitor.ask(file_of(255 - digits[0], "PNG"), content_type="image/png")["input"]
    assert "light and dark are exchanged" in given["warnings"][0]


REFUSED = {
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="28" height="28"><script>alert(1)</script></svg>',
    "html named png": b"<!doctype html><script>alert(1)</script>",
    "nothing": b"",
    "half a png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_is_refused(visitor: Visitor, name: str) -> None:
    status, headers, body = visitor.post("/ask", REFUSED[name], content_type="image/png")
    assert status == 400
    assert "expected a picture, PNG or JPEG" in json.loads(body)["error"]
    assert headers["content-type"] == "application/json"


def test_other_formats_of_pictures_are_refused(visitor: Visitor, digits: np.ndarray) -> None:
    for kind in ("GIF", "TIFF", "BMP"):
        assert visitor.post("/ask", file_of(digits[0], kind), content_type="image/png")[0] == 400


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"row": -1}',
        b'{"row": 1000000}',
        b'{"row": "0"}',
        b'{"row": true}',
        b'{"texts": ["a"]}',
        b'{"texts": [1]}',
        b"1e9",
    ],
)
def test_json_that_names_no_input_is_refused(visitor: Visitor, body: bytes) -> None:
    status, _, answer = visitor.post("/ask", body)
    assert status == 400
    assert "Received" in json.loads(answer)["error"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_calls_to_copy_bring_the_same_answer(visitor: Visitor, tmp_path: Path, protocol: str) -> None:
    status, _, answer = visitor.post(f"/call?server={NAME}&protocol={protocol}", b'{"row": 0}')
    assert status == 200, answer
    shown = json.loads(answer)
    assert shown["files"] == []
    done = subprocess.run(["bash", "-c", shown["curl"]], cwd=tmp_path, capture_output=True, timeout=60, check=True)
    file = tmp_path / "answer.bin"
    received = file.read_bytes() if file.exists() else done.stdout
    target = Target("http://h:1", "mnist_cnn", {"logits": "float32"})
    if protocol.endswith("grpc"):
        assert received[0] == 0
        received = received[5:]
        assert ModelInferResponse.FromString(received).model_name == "mnist_cnn"
    assert client(protocol).decode(target, received)["logits"].argmax() == 7
    if protocol == PROTOCOLS[0]:
        import sys

        script = [sys.executable, "-c", shown["python"]]
        done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.startswith("{'logits': array([[")


@pytest.mark.parametrize(
    "query", ["server=other&protocol=open-inference-rest", f"server={NAME}&protocol=tf-serving-rest", ""]
)
def test_a_call_of_nobody_is_refused(visitor: Visitor, query: str) -> None:
    assert visitor.post(f"/call?{query}", b'{"row": 0}')[0] == 400


def test_torchserves_token_is_lent_by_the_page_and_never_shown(cli: Any, trained: TrainedModel, tmp_path: Path) -> None:
    process = cli.start("web", "--serve", "torchserve", "--json")
    try:
        visitor = Visitor(json.loads(process.stdout.readline())["address"])
        found = visitor.ask({"row": 0})
        assert {answer["status"] for answer in found["answer"]} == {"ok"}
        assert {answer["verdict"] for answer in found["answer"]} == {"within"}
        _, cards = next(visitor.events())
        query = "server=torchserve:export&protocol=torchserve-rest"
        status, _, answer = visitor.post(f"/call?{query}", b'{"row": 0}')
        assert status == 200, answer
        shown = json.loads(answer)
        done = subprocess.run(["bash", "-c", shown["curl"]], cwd=tmp_path, capture_output=True, timeout=60, check=True)
        assert np.argmax(json.loads(done.stdout)["outputs"]["logits"][0]) == 7
        (printed,) = re.findall(r"\$\(([^)]+)\)", shown["curl"])
        token = subprocess.run(["bash", "-c", printed], capture_output=True, text=True, timeout=60, check=True).stdout
        assert len(token.strip()) >= 8  # as TorchServe makes them
        for text in (visitor.page, repr(found), repr(cards), repr(shown), repr(visitor.get("/about"))):
            assert token.strip() not in text
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert token.strip() not in said


def test_a_server_that_dies_turns_within_two_seconds_and_nothing_is_left(
    cli: Any, trained: TrainedModel, nothing_left: Any
) -> None:
    process = cli.start("web", "--serve", "onnxruntime", "--serve", "onnxruntime", "--json")
    try:
        visitor = Visitor(json.loads(process.stdout.readline())["address"])
        events = (servers for name, servers in visitor.events() if name == "servers")
        states: dict[str, str] = {}
        while states != {NAME: "ready", f"{NAME} #2": "ready"}:
            states = {server["name"]: server["state"] for server in next(events)}
        first = next(
            child for child in psutil.Process(process.pid).children() if "serving.open_inference" in child.cmdline()
        )
        killed = time.monotonic()
        first.kill()
        while states[NAME] != "dead":
            states = {server["name"]: server["state"] for server in next(events)}
        assert time.monotonic() - killed < 2.0
        assert states[f"{NAME} #2"] == "ready"
        answers = visitor.ask({"row": 0})["answer"]
        assert {(answer["server"], answer["status"]) for answer in answers} == {
            (NAME, "failed"),
            (f"{NAME} #2", "ok"),
        }
        assert all(answer["reason"] for answer in answers if answer["status"] == "failed")
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    wait_for(lambda: nothing_left() == [])
