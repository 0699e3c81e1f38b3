"""The ground-truth servers, and what the load test says of each of their faults."""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from busy_machine import late_ms, latencies_ms

from pipelines.loadtest.generator.live import Glance
from pipelines.loadtest.measure import measure
from pipelines.loadtest.recording import load_recording
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.truth.__main__ import main
from pipelines.loadtest.truth.behaviour import true_latencies_ms
from pipelines.results import Scenario


def go(truth, path: str, bodies: list[bytes], folder: Path, scenario: str = "offline", **settings) -> Scenario:
    chosen = LoadSettings(
        scenario, **{"duration_s": 0.4, "warmup_s": 0.0, "timeout_s": 2.0, "concurrency": 3, **settings}
    )
    return measure(truth.call(path), bodies, lambda index, answer: answer == bodies[index], chosen, folder)


def post(url: str, path: str, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("POST", path, body)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_latencies_are_those_that_are_promised(truth, bodies, tmp_path) -> None:
    path = "/stall/400/300/5"
    late_ms(truth)
    found = go(truth, path, bodies, tmp_path, "server", rate_per_s=150.0, duration_s=1.2, seed=3)
    assert found.load.errors == 0
    recording = load_recording(tmp_path)
    promised = true_latencies_ms(recording.intended, path)
    measured = (recording.done - recording.intended) / 1e6
    lag_ms = (recording.sent - recording.intended) / 1e6
    # Never early, but for those at the stall's edge: the first request begins it, as late as it arrives.
    assert np.mean(measured > promised - 0.05) > 0.98
    assert np.median(measured - promised - lag_ms) < 3.0 + late_ms(truth)


def test_a_stall_on_demand_is_the_whole_servers(http_truth, bodies, tmp_path) -> None:
    stalled: list[int] = []

    def stall(glance: Glance | None) -> None:
        if glance is not None and glance.answered > 50 and not stalled:
            stalled.append(post(http_truth.url, "/stall-now/400", b"")[0])

    settings = LoadSettings("server", 2.0, 0.0, rate_per_s=100.0)
    late_ms(http_truth)
    found = measure(http_truth.call("/echo/1"), bodies, lambda i, a: a == bodies[i], settings, tmp_path, watch=stall)
    assert stalled == [200]
    recording = load_recording(tmp_path)
    lag_ms = (recording.sent - recording.intended).max() / 1e6
    assert 330 < latencies_ms(tmp_path).max() < 500 + late_ms(http_truth) + lag_ms
    assert found.match_share == 1.0


@pytest.mark.parametrize(
    ("path", "share"), [("/half", 0.0), ("/wrong", 0.0), ("/swapped", 0.0), ("/every/2/half", 0.5)]
)
def test_wrong_answers_are_answers_that_do_not_match(truth, bodies, tmp_path, path: str, share: float) -> None:
    found = go(truth, path, bodies, tmp_path)
    assert (found.load.errors, found.match_share) == (0, pytest.approx(share, abs=0.05))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/short", "lost within the answer: closed by the server"),
        ("/reset", "lost within the answer: "),
        ("/drop", "lost before an answer: closed by the server"),
        ("/error", "HTTP 503: too busy"),
        ("/nonsense", "HTTP 404: not an order"),
    ],
)
def test_faults_of_http_are_errors(http_truth, bodies, tmp_path, path: str, text: str) -> None:
    found = go(http_truth, path, bodies, tmp_path)
    assert 0 < found.load.requests == found.load.errors
    assert text in found.load.error_examples[0]


def test_bytes_after_an_answer_reach_no_other_request(http_truth, bodies, tmp_path) -> None:
    found = go(http_truth, "/every/3/long", bodies, tmp_path)
    assert found.match_share == 1.0
    assert found.load.requests > 20


def test_counted_faults_are_counted(truth, bodies, tmp_path) -> None:
    found = go(truth, "/every/25/error", bodies, tmp_path, "server", rate_per_s=250.0, duration_s=1.0)
    assert found.load.errors == found.load.requests // 25


def test_requests_that_come_together_are_all_answered(http_truth) -> None:
    import socket

    address = urlsplit(http_truth.url)
    request = b"POST /echo/2 HTTP/1.1\r\nContent-Length: 1\r\n\r\n%s"
    with socket.create_connection((address.hostname, address.port), timeout=10) as sock:
        sock.sendall(b"".join(request % letter for letter in (b"a", b"b", b"c")))
        found = b""
        while found.count(b"HTTP/1.1 200 OK") < 3 or not found.endswith(b"c"):
            piece = sock.recv(1000)
            assert piece
            found += piece
    assert [part[-1:] for part in found.split(b"HTTP/1.1 200 OK")[1:]] == [b"a", b"b", b"c"]


@pytest.mark.parametrize("words", [[], ["ftp"], ["http", "x"], ["http", "1", "2", "3"]])
def test_a_mistake_is_a_line(words: list[str], capsys) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("expected http or grpc")
