"""The parts of the back end by themselves: calls to copy, verdicts, states, events, reports, pictures."""

from __future__ import annotations

import asyncio
import base64
import http.server
import io
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.mnist_cnn import SPEC
from models.task import Classes, Vectors
from models.trained import TrainedModel
from pipelines.artifacts.parity import Probe, compare
from pipelines.base.errors import SlipwayError, UserError
from pipelines.run.addresses import parse
from pipelines.web import calls, events, files
from pipelines.web.asking import ask_one, said, verdict
from pipelines.web.fleet import states
from pipelines.web.fleet.servers import Fleet, KnownServer
from pipelines.web.inputs import Given
from pipelines.web.referee import Referee

SECRET = "s3cret-of-torchserve"  # noqa: S105 - made up


def known(word: str, name: str = "one") -> KnownServer:
    """A server of an artifact that nobody looks into."""
    (deployed,) = parse([word])
    manifest = SimpleNamespace(
        path="torchserve", variant="export", model="mnist_cnn", artifact_sha256="ab" * 32, size_bytes=1
    )
    certificate = SimpleNamespace(passed=True, max_abs=0.0, sqnr_db=None, min_sqnr_db=100.0, atol=None)
    return KnownServer(name, "Some server", deployed, SimpleNamespace(manifest=manifest), certificate)  # type: ignore[arg-type]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[KnownServer]:
    """A server that speaks TorchServe's REST API, and answers nobody without its token, which is in a file."""
    token = tmp_path / "it's a token"
    token.write_text(SECRET)

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self, content: bytes) -> None:
            admitted = self.headers.get("Authorization") == f"Bearer {SECRET}"
            self.send_response(200 if admitted else 401)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._answer(b'{"status": "Healthy"}')

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(json.dumps({"outputs": {"logits": [[0.0] * 7 + [9.0, 0.0, 0.0]]}}).encode())

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield known(f"torchserve=http://127.0.0.1:{server.server_port},token={token}")
        server.shutdown()


def test_a_token_is_used_and_never_shown(guarded: KnownServer) -> None:
    inputs = {"image": np.zeros((1, 28, 28), np.float32)}
    figures, outputs = ask_one(guarded, "torchserve-rest", SPEC, Given("x", inputs))
    assert figures.status == "ok"
    assert outputs is not None
    assert said(outputs, SPEC)["labels"][0]["label"] == "7"
    state = states.look(guarded, "mnist_cnn")
    assert state.state == "ready"
    shown = calls.shown(guarded, "torchserve-rest", SPEC, inputs)
    cards = states.cards(Fleet([guarded]), {guarded.name: state})
    for text in (repr(shown), json.dumps(cards), repr(figures), repr(guarded)):
        assert SECRET not in text
    done = subprocess.run(["bash", "-c", shown.curl], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["outputs"]["logits"][0][7] == 9.0
    assert "subprocess.check_output(['cat', " in shown.python


def test_a_call_names_the_address_and_the_token_as_others_reach_them(
    guarded: KnownServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = guarded.deployed.urls["torchserve-rest"]
    monkeypatch.setenv(calls.SHOWN_AS, f"http://other:1=http://127.0.0.1:2 {url}=http://127.0.0.1:8080")
    monkeypatch.setenv(calls.TOKEN_COMMAND, "print-token --of 'torchserve'")
    shown = calls.shown(guarded, "torchserve-rest", SPEC, {"image": np.zeros((1, 28, 28), np.float32)})
    assert "http://127.0.0.1:8080/" in shown.curl
    assert "$(print-token --of 'torchserve')" in shown.curl
    assert "check_output(['print-token', '--of', 'torchserve']" in shown.python
    assert url not in shown.curl + shown.python


def test_a_server_without_its_token_is_not_ready(guarded: KnownServer, tmp_path: Path) -> None:
    (url,) = set(guarded.deployed.urls.values())
    assert states.look(known(f"torchserve={url}"), "mnist_cnn").state == "not ready"
    empty = tmp_path / "empty"
    empty.touch()
    found = states.look(known(f"torchserve={url},token={empty}"), "mnist_cnn")
    assert (found.state, SECRET in str(found.why)) == ("dead", False)


def test_a_server_that_answers_too_slowly_is_not_ready_and_not_dead() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        found = states.look(known(f"onnxruntime={url}"), "mnist_cnn")
    assert (found.state, found.why) == ("not ready", f"no answer within {states.ANSWER_S:g} s")
    assert states.look(known(f"onnxruntime={url}"), "mnist_cnn").state == "dead"


def test_a_card_names_the_replicas_behind_a_gateway() -> None:
    """Two replicas answer in turn; one of them is not heard of any more."""
    names, gone = ["10.0.0.2:8080", "10.0.0.3:8080"], threading.Event()

    class Gateway(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            names.reverse()
            self.send_response(200)
            self.send_header(states.SERVED_BY, "10.0.0.3:8080" if gone.is_set() else names[0])
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    async def shown(url: str) -> list[tuple[str, ...]]:
        fleet = Fleet([known(f"onnxruntime={url}")])
        found: asyncio.Queue[tuple[str, ...]] = asyncio.Queue()
        watch = states.StateWatch(fleet, "mnist_cnn", lambda _, state: found.put_nowait(state.replicas))
        watch.sync()
        first, both = await found.get(), await found.get()
        assert states.cards(fleet, watch.states)[0]["replicas"] == both
        gone.set()
        last = await found.get()
        await watch.stop()
        return [first, both, last]

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        first, both, last = asyncio.run(asyncio.wait_for(shown(f"http://127.0.0.1:{server.server_port}"), 60))
        server.shutdown()
    assert (len(first), both, last) == (1, ("10.0.0.2:8080", "10.0.0.3:8080"), ("10.0.0.3:8080",))


def test_a_reference_that_refuses_an_input_answers_the_next_one(trained: TrainedModel, tmp_path: Path) -> None:
    referee = Referee(trained.weights.parent, tmp_path / "reference.log")
    try:
        good = {"image": np.zeros((1, 28, 28), np.float32)}
        before = referee.outputs(good)["logits"]
        with pytest.raises(SlipwayError, match=r"^the reference cannot answer: "):
            referee.outputs({"image": np.zeros((1, 3), np.float32)})
        assert np.array_equal(referee.outputs(good)["logits"], before)
        referee.kill()
        with pytest.raises(SlipwayError, match=r"^the reference's process has ended"):
            referee.outputs(good)
    finally:
        referee.stop()


def test_a_long_body_is_left_to_a_file(guarded: KnownServer) -> None:
    inputs = {"image": np.zeros((40, 28, 28), np.float32)}
    shown = calls.shown(guarded, "torchserve-rest", SPEC, inputs)
    assert shown.files == (calls.BODY_FILE, calls.INPUTS_FILE)
    assert shown.curl.startswith(f"cat {calls.BODY_FILE} | curl ")
    body = calls.file(guarded, "torchserve-rest", SPEC, inputs, calls.BODY_FILE)
    assert json.loads(body)["inputs"]["image"][39][27] == [0.0] * 28
    with np.load(io.BytesIO(calls.file(guarded, "torchserve-rest", SPEC, inputs, calls.INPUTS_FILE))) as file:
        assert np.array_equal(file["image"], inputs["image"])
    with pytest.raises(UserError, match="unknown file"):
        calls.file(guarded, "torchserve-rest", SPEC, inputs, "/etc/passwd")


LABELS = Classes(tuple("abc"))
EXPECTED = np.array([[1.0, 5.0, 2.0]], np.float32)


@pytest.mark.parametrize(
    ("received", "limits", "says"),
    [
        ([1.0, 5.0, 2.0], {"min_sqnr_db": 100}, "within"),
        ([1.0, 5.00001, 2.0], {"min_sqnr_db": 100}, "within"),
        ([1.0, 5.1, 2.0], {"min_sqnr_db": 100}, "outside"),
        ([1.0, 5.1, 2.0], {"min_sqnr_db": 30}, "within"),
        ([1.0, 5.1, 2.0], {"atol": 0.05}, "outside"),
        ([1.0, 5.1, 2.0], {"atol": 0.2}, "within"),
        ([1.0, 5.1, 5.2], {"atol": 9}, "differs"),
        ([np.nan, 5.0, 2.0], {"min_sqnr_db": 100}, "differs"),
    ],
)
def test_an_answer_is_judged_by_the_tolerance_and_by_its_class(
    received: list[float], limits: dict[str, float], says: str
) -> None:
    certificate: Any = SimpleNamespace(**{"min_sqnr_db": None, "atol": None, "min_cosine": None, **limits})
    probe = Probe("evaluation", 1, 0, {}, {"logits": EXPECTED})
    compared, _ = compare(probe, {"logits": np.array([received], np.float32)}, LABELS)
    assert verdict(certificate, compared) == says


def test_vectors_are_judged_by_their_cosine() -> None:
    certificate: Any = SimpleNamespace(min_sqnr_db=None, atol=None, min_cosine=0.99)
    probe = Probe("evaluation", 1, 0, {}, {"vector": np.array([[1.0, 0.0]], np.float32)})
    for received, says in (([2.0, 0.1], "within"), ([1.0, 0.5], "differs")):
        compared, _ = compare(probe, {"vector": np.array([received], np.float32)}, Vectors())
        assert verdict(certificate, compared) == says


@pytest.mark.parametrize(
    ("body", "versions"),
    [
        ({"model_version_status": [{"version": "3", "state": "AVAILABLE"}, {"version": "2", "state": "END"}]}, ("3",)),
        ({"name": "m", "versions": ["1"]}, ("1",)),
        ({"name": "m", "versions": None}, ()),
        ({"status": "Healthy"}, ()),
        ([], ()),
        ({"model_version_status": 1}, ()),
    ],
)
def test_versions_are_read_from_answers_of_both_apis(body: Any, versions: tuple[str, ...]) -> None:
    assert states._versions(json.dumps(body).encode()) == versions


def test_a_page_that_is_too_slow_is_let_go_and_the_others_see_everything() -> None:
    async def seen() -> tuple[int, int]:
        hub = events.Hub()
        quick, slow = hub.stream(lambda: [("state", 0)]), hub.stream(lambda: [("state", 0)])
        await anext(quick)
        await anext(slow)
        received = 0
        for number in range(events.WAITING + 10):
            hub.publish("point", number)
            received += (await anext(quick)).startswith(b"event: point\n")
        late = [message async for message in slow]
        hub.close()
        assert [message async for message in quick] == []
        return received, len(late)

    assert asyncio.run(seen()) == (events.WAITING + 10, events.WAITING)


def test_a_report_runs_its_own_scripts_only(tmp_path: Path) -> None:
    from pipelines.artifacts.workspace import Workspace

    workspace = Workspace(tmp_path)
    folder = workspace.reports("mnist_cnn") / "latest"
    folder.mkdir(parents=True)
    policy = "default-src &#39;none&#39;; script-src &#39;sha256-x&#39;"
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    (folder / "report.html").write_text(meta)
    assert files.links(workspace, "mnist_cnn") == {"report": "/reports/mnist_cnn/latest/report.html"}
    answer = files.report(workspace, ["mnist_cnn", "latest", "report.html"])
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'sha256-x'; base-uri")
    (folder / "report.html").write_text("<script>alert(1)</script>")
    answer = files.report(workspace, ["mnist_cnn", "latest", "report.html"])
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; base-uri 'none'")


def test_what_the_model_sees_is_the_picture() -> None:
    from pipelines.web.inputs import _seen

    pixels = np.arange(784, dtype=np.uint8).reshape(28, 28)
    rule = SPEC.picture
    assert rule is not None
    row = (pixels.astype(np.float32) - rule.offset) / rule.scale
    seen = _seen(row, rule)
    assert base64.b64decode(seen["data"]) == pixels.tobytes()
    assert Image.frombytes("L", (seen["width"], seen["height"]), base64.b64decode(seen["data"])).getpixel((1, 0)) == 1
