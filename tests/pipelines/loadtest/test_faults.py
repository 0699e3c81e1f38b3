"""Mistakes of a server or a user, over both transports: every request ends, and the result says how."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
import pytest
from busy_machine import check_answers

from pipelines.loadtest.generator.live import Glance
from pipelines.loadtest.generator.transport import MAX_ARRIVING, TOO_MUCH
from pipelines.loadtest.measure import Interrupted, measure
from pipelines.loadtest.recording import Outcome, load_recording
from pipelines.loadtest.settings import LoadSettings
from pipelines.results import Scenario
from serving.clients import Call
from serving.launch import free_port

KINDS = ("http", "grpc")


def go(call: Call, bodies: list[bytes], folder: Path, **settings) -> Scenario:
    chosen = LoadSettings(
        **{"scenario": "server", "rate_per_s": 200.0, "duration_s": 0.5, "warmup_s": 0.0, "timeout_s": 2.0, **settings}
    )
    found = measure(call, bodies, lambda index, answer: answer == bodies[index], chosen, folder)
    assert not np.any(load_recording(folder).outcome == Outcome.PENDING)
    return found


FAULTS = {
    ("http", "short"): "connection lost within the answer: closed by the server",
    ("grpc", "short"): "gRPC: an incomplete gRPC message: 2999 of 3000 bytes",
    ("http", "reset"): "connection lost within the answer: ",
    ("grpc", "reset"): "gRPC: the server reset the request (INTERNAL_ERROR)",
    ("grpc", "long"): "gRPC: a unary call with more than one message: 8 bytes after it",
    ("http", "drop"): "connection lost before an answer: closed by the server",
    ("grpc", "drop"): "gRPC: connection lost: ",
}


@pytest.mark.parametrize("fault", ["short", "reset", "long", "drop"])
def test_a_fault_costs_the_requests_that_it_meets(truth, bodies, tmp_path, fault: str) -> None:
    """Each 20th request meets the fault; on its own connection (HTTP), or on one that all share (gRPC)."""
    kind = truth.url.partition(":")[0]
    found = go(truth.call(f"/every/20/{fault}"), bodies, tmp_path)
    assert found.load.requests > 50
    assert found.match_share == 1.0
    if (kind, fault) not in FAULTS:  # bytes after an answer over HTTP: the answer counts, the connection does not
        assert found.load.errors == 0
        return
    # A gRPC connection that is dropped takes along what is under way on it: more or less, as busy as the machine is.
    most = found.load.requests // 2 if (kind, fault) == ("grpc", "drop") else found.load.requests // 20
    assert found.load.requests // 20 <= found.load.errors <= most
    assert FAULTS[kind, fault] in found.load.error_examples[0]
    assert found.invalid_because is not None
    assert "requests failed (limit 1%)" in found.invalid_because


@pytest.mark.parametrize("path", ["/chunked", "/every/7/close", "/reversed"])
def test_answers_in_pieces_last_ones_and_those_out_of_order(truth, bodies, tmp_path, path: str) -> None:
    found = go(truth.call(path), bodies, tmp_path, arrivals="uniform")
    assert (found.load.requests, found.load.errors, found.match_share) == (100, 0, 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_comes_back(kind: str, start_truth, bodies, tmp_path) -> None:
    """The server goes down in the middle of a test, and up again on the same port: the test goes on.

    It ends when enough is seen, however long the server takes to start.
    """
    port = str(free_port())
    with ExitStack() as stack:

        def start() -> subprocess.Popen[bytes]:
            words = [sys.executable, "-P", "-m", "pipelines.loadtest.truth", kind, port]
            process = stack.enter_context(subprocess.Popen(words, stdout=subprocess.PIPE))
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline()
            return process

        first = start()
        answered: list[int] = []  # until the server was up again

        def restart(glance: Glance | None) -> None:
            if glance is None:
                return
            if answered and glance.answered > answered[0] + 50:
                raise KeyboardInterrupt
            if glance.answered > 50 and not answered:
                first.kill()
                first.wait()
                start()
                answered.append(glance.answered)

        settings = LoadSettings("server", 60.0, 0.0, rate_per_s=100.0, timeout_s=2.0)
        call, right = Call(f"{kind}://127.0.0.1:{port}", "/echo/2"), lambda i, answer: answer == bodies[i]
        with pytest.raises(Interrupted) as caught:
            measure(call, bodies, right, settings, tmp_path, watch=restart, keep_partial=True)
    found, outcome = caught.value.scenario, load_recording(tmp_path).outcome
    outcome = outcome[outcome != Outcome.CUT_OFF]
    assert found.load.errors > 0
    assert outcome[0] == outcome[-1] == Outcome.ANSWERED
    assert found.match_share == 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_goes_down_after_the_last_answer(kind: str, start_truth, bodies, tmp_path) -> None:
    trace = tmp_path / "trace"
    trace.write_text("\n".join(str(i / 500) for i in range(100)))
    settings = LoadSettings("server", 1.0, 0.0, arrivals="trace", trace=str(trace))
    folder = tmp_path / "test"
    folder.mkdir()
    with start_truth(kind) as server:

        def kill(glance: Glance | None) -> None:
            if glance is not None and glance.answered == 100:
                server.process.kill()

        found = measure(server.call("/echo/1"), bodies, lambda i, a: a == bodies[i], settings, folder, watch=kill)
        assert server.process.wait(10) is not None
    check_answers(found)
    assert found.load.requests == 100


def test_a_rate_that_the_machine_cannot_offer(truth, bodies, tmp_path) -> None:
    found = go(truth.call("/echo"), bodies, tmp_path, rate_per_s=400_000.0, duration_s=0.3)
    assert not found.valid
    assert found.invalid_because is not None
    assert "the load generator" in found.invalid_because or "were not sent" in found.invalid_because
    assert found.load.requests == pytest.approx(120_000, rel=0.05)


def test_answers_that_are_larger_than_the_memory_for_them(truth, tmp_path) -> None:
    """Sixteen of 100 MB each: those that come at once fail and say why, and the generator's memory stays bounded.

    Over gRPC the ground truth sends one after the other.
    """
    most = 0

    def look(_: Glance | None) -> None:
        nonlocal most
        for process in psutil.process_iter(["cmdline"]):
            if str(tmp_path) in (process.info["cmdline"] or []):
                most = max(most, process.memory_info().rss)

    settings = LoadSettings("offline", 0.5, 0.0, concurrency=16, requests=16, timeout_s=20.0)
    call = truth.call("/size/100000000")
    found = measure(call, [b"x"], lambda _, answer: len(answer) == 10**8, settings, tmp_path, watch=look)
    assert (found.load.errors, found.load.error_examples) == (0, ()) or TOO_MUCH in found.load.error_examples[0]
    assert (found.load.errors > 0) == truth.url.startswith("http")
    assert most < 3 * MAX_ARRIVING


def test_a_server_that_does_not_read(bodies, tmp_path) -> None:
    """The server accepts large requests but does not read them: they time out, and need only the bodies' memory."""
    import socket

    most = 0

    def look(_: Glance | None) -> None:
        nonlocal most
        for process in psutil.process_iter(["cmdline"]):
            if str(tmp_path) in (process.info["cmdline"] or []):
                most = max(most, process.memory_info().rss)

    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
        call = Call(f"http://127.0.0.1:{server.getsockname()[1]}", "/x")
        settings = LoadSettings("server", 0.5, 0.0, rate_per_s=200.0, timeout_s=0.8)
        found = measure(call, [bytes(10_000_000)], lambda *_: True, settings, tmp_path, watch=look)
    assert found.load.errors == found.load.requests > 50
    assert "no answer within 0.8 s" in found.load.error_examples
    assert most < 500 * 2**20
