"""``slipway loadtest-url`` and ``calibrate``, as a user runs them."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.launch import free_port

KEYS = {
    "load": ("rate_per_s", "requests", "errors"),
    "latency": ("p50_ms", "p99_ms", "max_ms"),
    "generator": ("send_lag_p99_us",),
}


@pytest.fixture
def body(tmp_path: Path) -> Path:
    file = tmp_path / "body.bin"
    file.write_bytes(b"a body")
    return file


def url(truth, path: str) -> str:
    return truth.url + path


def go(cli, *words: str) -> dict:
    """Return the result; its exit code agrees with it, and it is not the test's own settings that make it invalid."""
    done = cli("loadtest-url", *words, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == (0 if found["valid"] else 1), done.stderr
    assert set(found["invalid_causes"]) <= {"machine", "server"}, found["invalid_because"]
    return found


def test_any_server(cli, truth, body) -> None:
    words = ["--body", str(body), "--scenario", "server", "--rate", "200", "--duration", "3"]
    found = go(cli, url(truth, "/echo/5"), *words)
    assert all(set(names) <= set(found[part]) for part, names in KEYS.items())
    assert (found["load"]["errors"], found["match_share"]) == (0, 1.0)
    assert (found["invalid_because"] is None) == found["valid"]
    latency = found["latency"]
    assert 5 <= latency["p50_ms"] <= latency["max_ms"]
    # What the hypervisor disturbed is in no percentile: then there may be too few for this one.
    assert (latency["p99_ms"] is None) == any(one["percentile"] == "p99" for one in latency["unclaimable"])
    assert latency["p50_ms"] <= (latency["p99_ms"] or latency["max_ms"]) <= latency["max_ms"]
    assert found["load"]["requests"] / found["load"]["duration_s"] == pytest.approx(200, rel=0.15)


def test_a_percentile_that_is_not_claimable_is_null_and_said(cli, http_truth, body) -> None:
    found = go(cli, url(http_truth, "/echo"), "--body", str(body), "--rate", "100", "--requests", "212")
    assert found["load"]["requests"] == 212
    assert found["latency"]["p99_ms"] is None
    (missing,) = found["latency"]["unclaimable"]
    assert (missing["percentile"], missing["needed"]) == ("p99", 459)
    # What the hypervisor disturbed does not count.
    assert missing["samples"] == 212 or (found["generator"]["cut_share"] and missing["samples"] < 212)


def test_what_it_says_to_people(cli, http_truth, body) -> None:
    words = [url(http_truth, "/echo/2"), "--body", str(body), "--rate", "100", "--duration", "2.5"]
    done = cli("loadtest-url", *words)
    assert re.search(r"latency ms: p50 \d", done.stdout)
    verdict = done.stdout.splitlines()[-1]
    assert (verdict == "valid") if done.returncode == 0 else verdict.startswith("INVALID: "), done.stderr
    assert "note: all requests are the same" in done.stdout
    assert "/s  p99" in done.stderr  # it takes more than two seconds: progress is shown


@pytest.mark.parametrize("option", ["--save", "--hdr", "--html"])
def test_a_full_disk_costs_the_file_and_not_the_result(cli, http_truth, body, option: str) -> None:
    words = [url(http_truth, "/echo"), "--body", str(body), "--rate", "50", "--duration", "1", option, "/dev/full"]
    done = cli("loadtest-url", *words, "--json")
    assert json.loads(done.stdout)["load"]["requests"] > 0
    assert done.returncode == 2
    assert "slipway: the result could not be written: No space left on device\n" in done.stderr
    assert Path("/dev/full").is_char_device()


def test_headers_tokens_and_expected_answers(cli, truth, tmp_path, body) -> None:
    token = tmp_path / "token"
    token.write_text("a-secret\n")
    if truth.url.startswith("grpc"):
        right = tmp_path / "right"
        right.write_text("Bearer a-secret")
        words = [url(truth, "/every/1/metadata"), "--body", str(body), "--expect", str(right)]
        found = go(cli, *words, "--rate", "50", "--duration", "1", "--token-file", str(token))
        assert found["match_share"] == 1.0
    words = [url(truth, "/every/2/wrong"), "--body", str(body), "--expect", str(body)]
    found = go(cli, *words, "--rate", "100", "--duration", "1", "--header", "X-A: b")
    assert "server" in found["invalid_causes"]
    assert "checked answers differ from the expected ones" in found["invalid_because"]
    assert found["match_share"] == pytest.approx(0.5, abs=0.1)


def test_repetitions_have_intervals_and_can_be_compared(cli, http_truth, body, tmp_path) -> None:
    saved = tmp_path / "before.json"
    words = [url(http_truth, "/echo/1"), "--body", str(body), "--scenario", "offline", "--concurrency", "8"]
    words += ["--repeat", "5", "--requests", "2100", "--warmup", "0.1"]
    found = go(cli, *words, "--save", str(saved))
    assert found["load"]["requests"] == 5 * 2100
    assert [run["load"]["requests"] for run in found["runs"]] == [2100] * 5
    interval = found["intervals"]["p50"]
    assert interval["low_ms"] <= found["latency"]["p50_ms"] <= interval["high_ms"]
    assert interval["coverage"] == 0.9
    again = go(cli, *words, "--compare", str(saved))
    ratio = again["compared"]["p50_ms"]
    assert 0 < ratio["low"] <= ratio["value"] <= ratio["high"]


def test_files(cli, http_truth, body, tmp_path) -> None:
    files = {name: tmp_path / name for name in ("hdr", "html")}
    words = [url(http_truth, "/echo/2"), "--body", str(body), "--rate", "300", "--duration", "2"]
    go(cli, *words, *(word for name, file in files.items() for word in (f"--{name}", str(file))))
    assert files["hdr"].read_text().startswith("#[Histogram log format version 1.3]")
    page = files["html"].read_text()
    assert 'id="plot-tail"' in page
    assert 'id="plot-timeline"' in page


def test_metrics_of_a_running_test(http_truth, body) -> None:
    port = free_port()
    words = ["loadtest-url", url(http_truth, "/echo/2"), "--body", str(body), "--rate", "100", "--duration", "20"]
    command = [sys.executable, "-m", "pipelines", *words, "--prometheus-port", str(port), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        text = ""
        while 'latency_seconds{quantile="0.99"}' not in text and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                    text = answer.read().decode()
            except OSError:
                time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert 'slipway_loadtest_requests_total{outcome="answered"}' in text
    # The interrupt kept what there was.
    found = json.loads(out)
    assert process.returncode == 130, err
    assert found["partial"]
    assert found["load"]["requests"] > 0
    assert found["latency"]["p50_ms"] is None or found["latency"]["p50_ms"] >= 2
    assert "interrupted" in found["invalid_because"]
    assert found["invalid_causes"][0] == "interrupted"


def test_a_rate_is_found(cli, http_truth, body) -> None:
    words = [url(http_truth, "/serial/2"), "--body", str(body), "--find-rate", "--p99-target-ms", "40"]
    done = cli("loadtest-url", *words, "--budget", "20", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == (0 if found["valid"] else 1), done.stderr
    assert 0 < found["closed_loop_per_s"] < 501  # a service takes 2 ms, or longer where others take the processors
    held = [point["offered_per_s"] for point in found["curve"] if point["held"]]
    assert len(found["probes"]) >= len(found["curve"]) > 0
    assert all(note.startswith("the machine was noisy") for note in found["notes"])
    # A machine that is busy with something else may hold no rate at all, or only for the short probes.
    if found["rate_per_s"] is None:
        assert not held
    else:
        assert found["rate_per_s"] <= max(held) < 500


@pytest.fixture
def hogs() -> Iterator[None]:
    """A process that never rests on every processor."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in os.sched_getaffinity(0)]
    yield
    for one in running:
        one.kill()
        one.wait()


@pytest.mark.usefixtures("hogs")
def test_a_noisy_machine_is_noted(cli, http_truth, body) -> None:
    """The checks of a run, for a server that runs already: its own work is none of the noise."""
    words = [url(http_truth, "/echo"), "--body", str(body), "--rate", "100", "--duration", "1"]
    noted = [note for note in go(cli, *words)["notes"] if note.startswith("the machine was noisy")]
    assert len(noted) == 1
    assert "other processes, just before the run" in noted[0]
    assert "other processes, during load tests" in noted[0]


def with_open_files(cli, soft: int, hard: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a load test of 300 requests in flight in a process that may open so many files."""
    words = ("--requests", "600", "--concurrency", "300", "--json", *words)
    return cli("loadtest-url", *words, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)))


@pytest.mark.parametrize("scenario", ["offline", "multi-stream"])
def test_more_connections_than_open_files(cli, http_truth, body, scenario: str) -> None:
    """At a hard limit the command ends at once, and says what fits."""
    words = [url(http_truth, "/echo"), "--body", str(body), "--scenario", scenario]
    done = with_open_files(cli, 256, 256, *words)
    assert done.returncode == 2
    assert "may open 256 files here (ulimit -Hn). Received: 300. Choose at most 192" in done.stderr


def test_a_soft_limit_of_open_files_is_raised(cli, truth, body) -> None:
    """A gRPC connection carries all requests: there, a low limit is enough."""
    hard = 256 if truth.url.startswith("grpc") else 1024
    done = with_open_files(cli, 256, hard, url(truth, "/echo/0"), "--body", str(body), "--scenario", "offline")
    load = json.loads(done.stdout)["load"]
    assert (load["requests"], load["errors"], load["concurrency"]) == (600, 0, 300), done.stderr


MISTAKES = {
    "nothing": ([], 2, "Missing argument 'URL'"),
    "a model's option": (["http://127.0.0.1:1/", "--threads", "2"], 2, "No such option '--threads'"),
    "scheme": (["ftp://127.0.0.1:1/", "--rate", "1"], 2, "ftp:// is not supported"),
    "no grpc method": (["grpc://127.0.0.1:1/x", "--rate", "1"], 2, "no gRPC method. Received: /x"),
    "no port": (["grpc://127.0.0.1/a/b", "--rate", "1"], 2, "grpc:// needs a port"),
    "remote": (["http://8.8.8.8:80/", "--rate", "1"], 2, "pass --allow-remote if it is yours"),
    "zero rate": (["http://127.0.0.1:1/", "--rate", "0"], 2, "Invalid value for '--rate'"),
    "negative rate": (["http://127.0.0.1:1/", "--rate", "-5"], 2, "Invalid value for '--rate'"),
    "no rate": (["http://127.0.0.1:1/"], 2, "Give --rate N, or --scenario single-stream or offline"),
    "huge rate": (["http://127.0.0.1:1/", "--rate", "1e12"], 2, "the rate is out of range"),
    "no body": (["http://127.0.0.1:1/", "--rate", "1", "--body", "/nowhere"], 2, "cannot read a body"),
    "no trace": (["http://127.0.0.1:1/", "--trace", "/nowhere"], 2, "cannot read the trace"),
    "method over grpc": (["grpc://127.0.0.1:1/a/b", "--rate", "1", "--method", "get"], 2, "are for HTTP"),
    "method": (["http://127.0.0.1:1/", "--rate", "1", "--method", "a b"], 2, "not a method. Received: 'A B'"),
    "statuses": (["http://127.0.0.1:1/", "--rate", "1", "--success", "299-200"], 2, "404 or 200-399"),
    "ca without tls": (["http://127.0.0.1:1/", "--rate", "1", "--insecure"], 2, "are for TLS. Received: http://"),
    "key alone": (["https://127.0.0.1:1/", "--rate", "1", "--key", __file__], 2, "Give --cert, too"),
    "no certificate": (["https://127.0.0.1:1/", "--rate", "1", "--ca", __file__], 2, "no certificates of authorities"),
    "endless certificate": (["https://127.0.0.1:1/", "--rate", "1", "--ca", "/dev/zero"], 2, "cannot read the cert"),
    "no socket": (["http://h/", "--rate", "1", "--unix-socket", "/no"], 1, "cannot connect: No such file"),
    "header": (["http://127.0.0.1:1/", "--rate", "1", "--header", "x"], 2, "not a header"),
    "scenario": (["http://127.0.0.1:1/", "--scenario", "srver"], 2, "Did you mean server?"),
    "no target": (["http://127.0.0.1:1/", "--find-rate"], 2, "--find-rate and --p99-target-ms go together"),
    "no result": (
        ["http://127.0.0.1:1/", "--rate", "1", "--compare", "/no"],
        2,
        "cannot read the result",
    ),
    "no folder": (["http://127.0.0.1:1/", "--rate", "1", "--save", "/nowhere/x"], 2, "no such folder"),
    "nobody there": (["http://127.0.0.1:9/", "--rate", "1"], 1, "did not answer the first request"),
    "nobody there, grpc": (["grpc://127.0.0.1:9/a/b", "--rate", "1"], 1, "did not answer the first request"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(cli, name: str) -> None:
    words, code, message = MISTAKES[name]
    done = cli("loadtest-url", *words)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("slipway:")]
    assert len(lines) == 1 or done.stderr.startswith("Usage:")


def test_the_port_of_the_metrics_is_in_use(cli, http_truth, body) -> None:
    port = http_truth.url.rpartition(":")[2]
    words = [url(http_truth, "/echo"), "--body", str(body), "--rate", "10", "--prometheus-port", port]
    done = cli("loadtest-url", *words)
    assert done.returncode == 2
    assert f"cannot serve metrics on port {port}" in done.stderr


def test_the_self_test_says_pass_or_fail(cli) -> None:
    """A calibration may fail on a busy machine; but its text and exit code agree, and exact figures are exact."""
    done = cli("calibrate", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == (0 if found["passed"] else 1)
    assert {check["transport"] for check in found["checks"]} == {"http", "grpc"}
    by_name = {(check["transport"], check["name"]): check for check in found["checks"]}
    for kind in ("http", "grpc"):
        assert by_name[kind, "refused_requests"]["passed"]
        assert by_name[kind, "wrong_answers"]["passed"]
