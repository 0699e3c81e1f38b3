"""The load test against servers whose behaviour is known, over both transports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from busy_machine import check_answers, late_ms, latencies_ms

from pipelines.base.errors import UserError
from pipelines.loadtest.generator.live import Glance
from pipelines.loadtest.measure import measure
from pipelines.loadtest.plan.schedule import poisson_arrivals
from pipelines.loadtest.recording import MAX_KEPT_BYTES, Outcome, load_recording
from pipelines.loadtest.settings import LoadSettings
from pipelines.results import Scenario
from serving.clients import Call
from serving.launch import free_port

SLACK_MS = 15.0
"""The way through the kernel and the generator, on top of the lateness that the ground truth tells of itself."""


def go(call: Call, bodies: list[bytes], folder: Path, scenario: str, **settings) -> Scenario:
    chosen = LoadSettings(scenario, **{"duration_s": 0.6, "warmup_s": 0.1, "timeout_s": 5.0, **settings})
    return measure(call, bodies, lambda index, answer: answer == bodies[index], chosen, folder)


def generators() -> list[psutil.Process]:
    """All generator processes of this machine, orphaned ones included."""
    everything = psutil.process_iter(["cmdline"])
    return [
        process for process in everything if "pipelines.loadtest.generator.generator" in (process.info["cmdline"] or [])
    ]


def gone(folder: Path, within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while any(str(folder) in process.info["cmdline"] for process in generators()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_single_stream(truth, bodies, tmp_path) -> None:
    late_ms(truth)
    found = go(truth.call("/echo/5"), bodies, tmp_path, "single-stream")
    check_answers(found)
    assert (found.load.errors, found.load.concurrency, found.load.offered_per_s) == (0, 1, None)
    assert found.latency.p50_ms is not None
    assert 5.0 <= found.latency.p50_ms < 5.0 + SLACK_MS + late_ms(truth)
    assert found.latency.quantiles_ms[0] >= 4.9
    # One after another: the rate is at most the reciprocal of the mean, which has no part of the time between them.
    assert found.load.rate_per_s <= 1.01 * 1000 / latencies_ms(tmp_path).mean()
    assert found.load.rate_per_s == pytest.approx(found.load.requests / found.load.duration_s)
    assert found.answers_checked == found.load.requests
    assert found.match_share == 1.0
    assert found.generator.cpu_us_per_request is not None
    assert 1 < found.generator.cpu_us_per_request < 5_000

    recording = load_recording(tmp_path)
    assert np.all(recording.sent >= recording.intended)
    assert np.all(recording.done > recording.sent)
    assert 0 < recording.first < len(recording.sent)  # there was a warm-up
    assert np.all(recording.sent[1:] >= recording.done[:-1])  # never two at once


def test_offline_keeps_requests_outstanding(truth, bodies, tmp_path) -> None:
    late_ms(truth)
    found = go(truth.call("/echo/20"), bodies, tmp_path, "offline", concurrency=6, batch=3)
    check_answers(found)
    assert found.load.concurrency == 6
    assert found.load.samples_per_s == pytest.approx(3 * found.load.rate_per_s)
    assert 6 / (20 + SLACK_MS + late_ms(truth)) * 1000 * 0.8 < found.load.rate_per_s < 6 / 0.020
    recording = load_recording(tmp_path)
    measured = slice(recording.first, None)
    ends = np.sort(recording.done[measured])
    outstanding = np.arange(1, len(ends) + 1) - np.searchsorted(ends, recording.sent[measured], side="right")
    assert outstanding.max() == 6


def test_a_closed_loop_goes_on_until_it_has_the_least_requests(truth, bodies, tmp_path) -> None:
    """Four in flight, 100 ms each: their time would be over after the first four."""
    found = go(truth.call("/echo/100"), bodies, tmp_path, "offline", concurrency=4, duration_s=0.05, least=8)
    check_answers(found)
    assert "too few" not in (found.invalid_because or "")
    assert found.load.requests in range(8, 12)  # three more may be in flight when the eighth begins
    assert found.load.duration_s > 0.19


def test_a_closed_loop_waits_for_the_least_requests_no_longer_than_one_may_take(truth, bodies, tmp_path) -> None:
    late_ms(truth)
    found = go(truth.call("/echo/100"), bodies, tmp_path, "single-stream", duration_s=0.05, least=1000, timeout_s=2.0)
    check_answers(found)
    assert 8 <= found.load.requests <= 21


def test_server_keeps_its_schedule(truth, bodies, tmp_path) -> None:
    late_ms(truth)
    found = go(truth.call("/echo/5"), bodies, tmp_path, "server", rate_per_s=150.0, duration_s=1.0, seed=4)
    check_answers(found)
    schedule = poisson_arrivals(150.0, 1.1, 4)
    recording = load_recording(tmp_path)
    assert np.array_equal(np.diff(recording.intended), np.diff(schedule))
    assert found.load.requests == int((schedule >= 100_000_000).sum())
    assert found.latency.p50_ms is not None
    assert found.generator.send_lag_p50_us is not None
    most_ms = 5.0 + SLACK_MS + late_ms(truth) + found.generator.send_lag_p50_us / 1000
    assert 5.0 <= found.latency.p50_ms < most_ms
    assert found.generator.send_lag_p99_us is not None
    assert 0 < found.generator.send_lag_p50_us <= found.generator.send_lag_p99_us
    assert found.load.offered_per_s == 150.0
    assert not found.valid or found.load.rate_per_s == pytest.approx(found.load.requests / 1.0, rel=0.1)


def test_a_stall_shows_in_the_open_loop_and_hides_in_the_closed_one(truth, bodies, tmp_path) -> None:
    """A stall of 500 ms: of 1.5 s of arrivals a third waits, evenly from 500 ms down; p99 is at 485 ms.

    A closed loop sends nothing meanwhile, so a single request waits.
    """
    folders = [tmp_path / "open", tmp_path / "closed"]
    for folder in folders:
        folder.mkdir()
    late_ms(truth)
    go(truth.call("/stall/500/500/2"), bodies, folders[0], "server", rate_per_s=400.0, duration_s=1.5)
    recording = load_recording(folders[0])
    lag_ms = (recording.sent - recording.intended).max() / 1e6
    most_ms = 502 + 4 * SLACK_MS + late_ms(truth) + lag_ms
    waited_ms = latencies_ms(folders[0])
    assert 430 < np.percentile(waited_ms, 99) <= waited_ms.max() < most_ms
    assert waited_ms.max() > 480
    assert 0.1 < np.mean(waited_ms > 250) < 0.3
    go(truth.call("/stall/501/500/2"), bodies, folders[1], "single-stream", duration_s=1.5)
    waited_ms = latencies_ms(folders[1])
    assert 480 < waited_ms.max() < 502 + 4 * SLACK_MS + late_ms(truth)
    assert (waited_ms > 250).sum() == 1


def test_a_backlog_never_throttles_the_schedule(truth, bodies, tmp_path) -> None:
    """100 requests/s reach a server that does at most 50: latency grows to half the time of the test."""
    found = go(truth.call("/serial/20"), bodies, tmp_path, "server", rate_per_s=100.0, duration_s=0.8, seed=1)
    assert not found.valid
    assert found.invalid_because is not None
    assert "did not keep up" in found.invalid_because
    assert 0 < found.load.rate_per_s <= 51
    assert found.load.errors == 0
    recording = load_recording(tmp_path)
    late_ns = recording.sent - recording.intended
    assert np.median(late_ns) < 0.1 * np.max(recording.done - recording.intended)
    assert found.latency.max_ms is not None
    assert found.latency.max_ms > 200
    assert found.load.concurrency > 20


def test_errors_are_counted_and_shown(truth, bodies, tmp_path) -> None:
    found = go(truth.call("/every/10/error"), bodies, tmp_path, "server", rate_per_s=200.0)
    assert found.load.requests // 10 - 1 <= found.load.errors <= found.load.requests // 10 + 1
    kind = "HTTP 503" if truth.url.startswith("http") else "gRPC INVALID_ARGUMENT"
    assert found.load.error_examples == (f"{kind}: too busy",)
    assert not found.valid
    assert found.invalid_because is not None
    assert "requests failed (limit 1%)" in found.invalid_because
    assert found.match_share == 1.0  # of the answers


def test_wrong_answers_are_found(truth, bodies, tmp_path) -> None:
    found = go(truth.call("/every/4/wrong"), bodies, tmp_path, "offline", duration_s=0.3)
    assert found.load.errors == 0
    assert found.match_share == pytest.approx(0.75, abs=0.05)


def test_no_answer_times_out(truth, bodies, tmp_path) -> None:
    found = go(truth.call("/silent"), bodies, tmp_path, "server", rate_per_s=150.0, timeout_s=0.3)
    assert found.load.requests == found.load.errors > 50
    assert found.load.error_examples == ("no answer within 0.3 s",)
    assert found.invalid_because is not None
    assert found.invalid_because.startswith("no request was answered")
    assert (found.latency.p50_ms, found.match_share, found.load.rate_per_s) == (None, None, 0.0)


def test_a_few_lost_answers_do_not_stop_the_rest(truth, bodies, tmp_path) -> None:
    found = go(truth.call("/every/50/silent"), bodies, tmp_path, "offline", concurrency=4, timeout_s=0.2)
    assert found.load.errors > 0
    assert found.load.requests - found.load.errors >= 40 * found.load.errors
    assert found.match_share == 1.0


@pytest.mark.parametrize("scenario", ["single-stream", "offline", "server"])
@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_a_server_that_is_down(kind: str, scenario: str, bodies, tmp_path) -> None:
    call = Call(f"{kind}://127.0.0.1:{free_port()}", "/echo/0")
    found = go(call, bodies, tmp_path, scenario, duration_s=0.3, rate_per_s=100.0, concurrency=2)
    assert not found.valid
    assert 0 < found.load.requests == found.load.errors < 200
    assert found.invalid_because is not None
    assert "refused" in found.invalid_because.lower()


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_a_server_that_dies_in_the_middle(kind: str, start_truth, bodies, tmp_path) -> None:
    with start_truth(kind) as server:

        def kill_half_way(glance: Glance | None) -> None:
            if glance is not None and glance.answered > 50:
                server.process.kill()

        settings = LoadSettings("server", 1.2, 0.0, rate_per_s=250.0, timeout_s=2.0)
        call = server.call("/echo/20")
        found = measure(call, bodies, lambda i, a: a == bodies[i], settings, tmp_path, watch=kill_half_way)
    assert found.load.errors > 10
    assert found.load.requests - found.load.errors > 10
    assert found.match_share == 1.0
    assert not found.valid
    assert found.load.error_examples
    outcome = load_recording(tmp_path).outcome
    assert not np.any(outcome == Outcome.PENDING)


@pytest.mark.parametrize(
    ("path", "text"),
    [("/reset", "lost within the answer: "), ("/drop", "lost before an answer: closed by the server")],
)
def test_broken_connections_are_errors(http_truth, bodies, tmp_path, path: str, text: str) -> None:
    found = go(http_truth.call(path), bodies, tmp_path, "offline", duration_s=0.3, concurrency=3)
    assert 0 < found.load.requests == found.load.errors
    assert text in found.load.error_examples[0]


@pytest.mark.parametrize("path", ["/chunked", "/close"])
def test_other_framings_of_http(http_truth, bodies, tmp_path, path: str) -> None:
    found = go(http_truth.call(path), bodies, tmp_path, "offline", duration_s=0.3, concurrency=3)
    assert found.load.requests > 20  # valid or not: a server this fast may leave the generator as the limit
    assert (found.load.errors, found.match_share) == (0, 1.0)


def test_large_bodies(truth, tmp_path) -> None:
    """More answers than 128 MiB hold: every one is right, and so many are kept and checked as fit."""
    bodies = [os.urandom(600_000) for _ in range(2)]
    most = MAX_KEPT_BYTES // 600_000
    found = go(truth.call("/echo/0"), bodies, tmp_path, "offline", duration_s=60.0, requests=most + 50, concurrency=2)
    check_answers(found)
    assert found.load.requests == most + 50
    assert most / 3 < found.answers_checked <= most


def test_more_than_2000_answers_are_sampled(http_truth, tmp_path) -> None:
    found = go(http_truth.call("/echo/0"), [b"x"], tmp_path, "offline", duration_s=60, requests=4_000, concurrency=8)
    check_answers(found)
    assert found.load.requests == 4_000
    assert 900 <= found.answers_checked <= 2_000


def test_metadata_travels_with_grpc(start_truth, tmp_path) -> None:
    with start_truth("grpc") as server:
        call = server.call("/metadata", authorization="Bearer token")
        settings = LoadSettings("single-stream", 0.2, 0.0)
        found = measure(call, [b"x"], lambda _, answer: answer == b"Bearer token", settings, tmp_path)
    assert found.match_share == 1.0


def test_too_many_in_flight_is_said(http_truth, tmp_path) -> None:
    """A limit of open files of 164 leaves room for 100 connections."""
    script = textwrap.dedent(f"""
        import resource
        from pathlib import Path
        from pipelines.loadtest.measure import measure
        from pipelines.loadtest.settings import LoadSettings
        from serving.clients import Call
        resource.setrlimit(resource.RLIMIT_NOFILE, (164, 164))
        settings = LoadSettings("server", 0.5, 0.0, rate_per_s=500.0, timeout_s=1.0)
        found = measure(Call("{http_truth.url}", "/silent"), [b"x"], lambda *_: True, settings, Path("{tmp_path}"))
        print(found.load.error_examples[0], found.valid)
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "not sent: 100 requests were already unanswered False"
    outcome = load_recording(tmp_path).outcome
    assert int((outcome == Outcome.TIMED_OUT).sum()) == 100
    assert int((outcome == Outcome.NOT_SENT).sum()) > 50


def test_progress_goes_from_0_to_1(http_truth, tmp_path) -> None:
    seen: list[float] = []
    settings = LoadSettings("single-stream", 0.5, 0.0)
    measure(http_truth.call("/echo/1"), [b"x"], lambda *_: True, settings, tmp_path, seen.append)
    assert seen == sorted(seen)
    assert 0 <= seen[0] < 1
    assert seen[-1] == 1.0
    assert len(seen) > 3


def test_what_check_raises_is_raised(http_truth, tmp_path) -> None:
    settings = LoadSettings("single-stream", 0.1, 0.0)
    with pytest.raises(ZeroDivisionError):
        measure(http_truth.call("/echo/1"), [b"x"], lambda *_: bool(1 // 0), settings, tmp_path)


def test_an_exception_of_the_caller_ends_the_generator(http_truth, tmp_path) -> None:
    def interrupt(share: float) -> None:
        if share > 0.01:
            raise KeyboardInterrupt

    settings = LoadSettings("single-stream", 30.0, 0.0)
    with pytest.raises(KeyboardInterrupt):
        measure(http_truth.call("/echo/1"), [b"x"], lambda *_: True, settings, tmp_path, interrupt)
    assert gone(tmp_path, 0.0)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_generator_outlives_its_caller(http_truth, tmp_path, how: signal.Signals) -> None:
    script = textwrap.dedent(f"""
        from pathlib import Path
        from pipelines.loadtest.measure import measure
        from pipelines.loadtest.settings import LoadSettings
        from serving.clients import Call
        report = lambda share: print(share, flush=True) if share > 0.01 else None
        settings = LoadSettings("offline", 30.0, 0.0)
        measure(Call("{http_truth.url}", "/echo/5"), [b"x"], lambda *_: True, settings, Path("{tmp_path}"), report)
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as caller:
        assert caller.stdout is not None
        caller.stdout.readline()
        assert not gone(tmp_path, 0.0)
        caller.send_signal(how)
        assert caller.wait(10) != 0
    assert gone(tmp_path)


def test_a_generator_that_is_killed_is_a_result_that_says_so(http_truth, tmp_path) -> None:
    def kill(share: float) -> None:
        if share > 0.01:
            for process in psutil.Process().children():
                if str(tmp_path) in process.cmdline():
                    process.kill()

    settings = LoadSettings("single-stream", 30.0, 0.0)
    found = measure(http_truth.call("/echo/1"), [b"x"], lambda *_: True, settings, tmp_path, kill)
    assert not found.valid
    assert found.invalid_because == "the load generator ended with signal 9"


def test_a_generator_that_hangs_is_a_result_that_says_so(http_truth, tmp_path, monkeypatch) -> None:
    def stop(share: float) -> None:
        if share > 0.5:
            for process in psutil.Process().children():
                if str(tmp_path) in process.cmdline():
                    process.suspend()

    monkeypatch.setattr("pipelines.loadtest.measure.START_AND_SAVE_S", 0.2)
    settings = LoadSettings("single-stream", 0.5, 0.0, timeout_s=0.1)
    found = measure(http_truth.call("/echo/1"), [b"x"], lambda *_: True, settings, tmp_path, stop)
    assert not found.valid
    assert found.invalid_because == "the load generator did not end within 1 s"
    assert gone(tmp_path, 0.0)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:1", "http://127.0.0.1", "http://127.0.0.1:port", "127.0.0.1:80", ""])
def test_an_address_that_is_none(url: str, tmp_path) -> None:
    with pytest.raises(UserError, match="cannot send to"):
        go(Call(url, "/"), [b"x"], tmp_path, "offline")


def test_no_bodies(tmp_path) -> None:
    with pytest.raises(UserError, match="nothing to send"):
        go(Call("http://127.0.0.1:1", "/"), [], tmp_path, "offline")
