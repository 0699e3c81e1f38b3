"""Models in the visitor's own browser, asked with the servers; and the page as axe-core and a second visitor see it."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import NEEDS_BROWSER
from web_client import Visitor
from web_tab import OUTSIDE, PROTOCOLS, SEVEN, Tab

from models.trained import TrainedModel
from pipelines.artifacts import reference
from pipelines.paths.browser.page import packed
from pipelines.paths.browser.runtimes import fetched
from pipelines.stages.answers import REFERENCE

pytestmark = NEEDS_BROWSER
AXE = Path(__file__).parents[2] / "axe"
MODELS = ("tfjs:fp32", "onnxruntime-web:fp32", "litert-web:fp32")
VIOLATIONS = """axe.run(document, {resultTypes: ["violations"]}).then(({violations}) => violations.map(
  ({id, nodes}) => `${id}: ${nodes.map(({html}) => html.slice(0, 160)).join(" | ")}`))"""
LITERTS = re.compile(r"WebGPU|No available adapters|\.cc:\d+\]|XNNPACK delegate")
"""What LiteRT.js tells the console, of a browser without a GPU among other things."""
MARKED = "[...document.querySelectorAll('#answers tbody tr[data-server]')].map((row) => row.dataset.status)"


@pytest.fixture(scope="module")
def page(cli: Any, trained: TrainedModel) -> Iterator[str]:
    """The address of a page with one server and three models in the browser."""
    words = [word for name in ("onnxruntime", *MODELS) for word in ("--serve", name)]
    process = cli.start("web", "mnist_cnn", *words, "--allow-control", "--json")
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield json.loads(line)["address"]
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said


@pytest.fixture(scope="module")
def question(page: str, trained: TrainedModel) -> tuple[Visitor, dict[str, Any], dict[str, Any]]:
    """A visitor, the inputs of test row 0 and the reference's outputs, packed as a page does."""
    known = reference.read(trained.weights.parent / REFERENCE)
    inputs = {name: array[:1] for name, array in known.inputs[reference.EVALUATION].items()}
    outputs = {name: array[:1] for name, array in known.outputs[reference.EVALUATION].items()}
    return Visitor(page), packed(inputs), packed(outputs)


def test_every_model_in_the_browser_answers_as_the_reference_does(page: str) -> None:
    with Tab() as tab:
        tab.visit(page)
        tab.until(lambda: tab.value("document.querySelectorAll('.card[data-state=ready]').length") == 1)
        tab.stroke(SEVEN)  # only now: cards that come move the surface
        tab.value("document.getElementById('ask-drawing').click()")
        rows = tab.answers(0)
        assert [(row["label"], row["verdict"]) for row in rows] == [("7", "within")] * (PROTOCOLS + len(MODELS)), rows
        assert {row["server"] for row in rows if row["protocol"] == "in this browser"} == set(MODELS)
        times = tab.value("[...document.querySelectorAll('.times')].map((one) => one.textContent)")
        assert all(part in text for text in times for part in ("download ", "kB), load ", "first run "))
        asked = len(tab.requests)
        tab.value("document.getElementById('ask-row').click()")
        assert [row["label"] for row in tab.answers(1)] == ["7"] * (PROTOCOLS + len(MODELS))
        again = [url for url in tab.requests[asked:] if "/in-browser/" in url]
        assert again == []  # each is loaded once
        assert tab.value(OUTSIDE) == []
        assert [text for text in tab.problems if not LITERTS.search(text)] == []


def test_axe_finds_nothing_wrong_with_any_state_of_the_page(page: str) -> None:
    axe = (fetched(AXE, ["axe-core/axe.min.js"]) / "axe-core" / "axe.min.js").read_text()
    with Tab() as tab:
        tab.visit(page)
        tab.value(f"{axe}; null")
        tab.until(lambda: tab.value("document.querySelectorAll('.card[data-state=ready]').length") == 1)
        assert tab.value(VIOLATIONS) == []
        tab.value("document.getElementById('ask-row').click()")
        tab.answers(0)
        tab.value("document.getElementById('seconds').value = 1")
        tab.value("document.getElementById('load-start').click()")
        tab.until(lambda: tab.value("document.querySelector('#load-status a') !== null"))
        tab.until(lambda: tab.value("document.querySelectorAll('.curves .scatterlayer .trace').length") == 4)
        for scheme in ("light", "dark"):
            tab.scheme(scheme)
            assert tab.value(VIOLATIONS) == []
        tab.value("document.querySelector('#answers tr[data-server] button').click()")
        tab.until(lambda: tab.value("document.getElementById('call').open"))
        assert tab.value(VIOLATIONS) == []


def test_models_in_the_browser_answer_with_several_threads(page: str) -> None:
    with Tab() as tab:
        more = "Object.defineProperty(Navigator.prototype, 'hardwareConcurrency', {get: () => 4})"
        tab.send("Page.addScriptToEvaluateOnNewDocument", source=more)
        tab.visit(page)
        tab.value("document.getElementById('ask-row').click()")
        rows = {row["server"]: row for row in tab.answers(0)}
        assert {name: (rows[name]["label"], rows[name]["verdict"]) for name in MODELS} == dict.fromkeys(
            MODELS, ("7", "within")
        )
        frames = "[...document.querySelectorAll('iframe.runtime')].map((frame) => new URL(frame.src).search)"
        assert tab.value(frames) == ["?threads=2"] * len(MODELS)
        assert [text for text in tab.problems if not LITERTS.search(text)] == []


def test_two_visitors_see_the_same_and_a_killed_server_leaves_the_others(page: str) -> None:
    dead = "document.querySelectorAll('.card[data-state=dead]').length"
    with Tab() as one, Tab() as other:
        for tab in (one, other):
            tab.visit(page)
            tab.until(lambda tab=tab: tab.value("document.querySelectorAll('.card[data-state=ready]').length") == 1)
        one.value("document.querySelector('.card .danger').click()")
        for tab in (one, other):
            tab.until(lambda tab=tab: tab.value(dead) == 1)
        other.value("document.getElementById('ask-row').click()")
        other.answers(0)
        assert other.value(MARKED) == ["failed"] * PROTOCOLS + ["ok"] * len(MODELS)


def test_an_answer_of_a_browser_is_judged_by_the_certificate(question: tuple[Visitor, Any, Any]) -> None:
    visitor, inputs, outputs = question
    wrong = np.roll(np.frombuffer(b"\0" * 36 + b"\0\0\x80?", np.float32), 1).reshape(1, 10)
    for answer, verdict in ((outputs, "within"), (packed({"logits": wrong}), "differs")):
        body = json.dumps({"name": MODELS[0], "inputs": inputs, "outputs": answer}).encode()
        status, _, said = visitor.post("/judge", body)
        assert (status, json.loads(said)["verdict"]) == (200, verdict)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"name": "nothing"}, "model in the browser"),
        ({"inputs": {}}, "expected 'image'"),
        ({"outputs": {"logits": {"dtype": "float32", "shape": [2, 10], "data": ""}}}, "of shape [2, 10]"),
        ({"outputs": {"logits": {"dtype": "float32", "shape": [1, 11], "data": ""}}}, "Received: [1, 11]"),
        ({"outputs": {"logits": {"dtype": "float64", "shape": [1, 10], "data": ""}}}, "dtype float32"),
        ({"outputs": {"logits": {"dtype": "float32", "shape": [1, 10], "data": "*"}}}, "in base64"),
        ({"outputs": packed({"logits": np.full((1, 10), np.nan, np.float32)})}, "finite numbers"),
        ({"outputs": 1}, "expected JSON with name"),
    ],
)
def test_what_is_no_answer_is_refused(question: tuple[Visitor, Any, Any], changed: dict[str, Any], why: str) -> None:
    visitor, inputs, outputs = question
    asked = {"name": MODELS[0], "inputs": inputs, "outputs": outputs, **changed}
    status, _, said = visitor.post("/judge", json.dumps(asked).encode())
    assert status == 400
    assert why in json.loads(said)["error"]


@pytest.mark.parametrize(
    "path", ["tfjs:fp32/manifest.json", "tfjs:fp32/../manifest.json", "tfjs:fp32/..%2fmanifest.json", "none/index.html"]
)
def test_only_files_of_a_payload_are_served(question: tuple[Visitor, Any, Any], path: str) -> None:
    status, _, _ = question[0].get(f"/in-browser/{path}")
    assert status in (400, 404)


def test_a_frame_may_compile_and_nothing_else(question: tuple[Visitor, Any, Any]) -> None:
    status, headers, _ = question[0].get("/in-browser/tfjs:fp32/index.html")
    assert status == 200
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert "'unsafe-eval'" not in headers["content-security-policy"].replace("'wasm-unsafe-eval'", "")
    assert headers["cross-origin-embedder-policy"] == "require-corp"
