"""``slipway conform``, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from serving.conformance.catalogue import ELSEWHERE, IDS
from serving.launch import LOOPBACK, free_port


def conform(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines", "conform", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def addresses(server) -> list[str]:
    return ["--rest", server.url, "--grpc", f"{LOOPBACK}:{server.grpc_port}"]


def test_every_case(addresses):
    done = conform(*addresses, "--json")
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert [row["id"] for row in report["cases"]] == list(IDS)
    assert report["counts"] == {"ok": len(IDS) - len(ELSEWHERE), "failed": 0, "skipped": len(ELSEWHERE)}
    assert all(row["reason"] == ELSEWHERE[row["id"]] for row in report["cases"] if row["status"] == "skipped")


def test_some_cases_and_a_failure(addresses, server):
    done = conform(*addresses, "a1", "I1", "H1")
    assert done.returncode == 0
    lines = ["A1   ok", f"I1   skipped  {ELSEWHERE['I1']}", "H1   ok", "2 ok, 0 failed, 1 skipped"]
    assert done.stdout.splitlines() == lines
    # With a wrong path in front of the URL, every REST request fails.
    done = conform("--rest", f"{server.url}/nowhere", *addresses[2:], "H1")
    assert done.returncode == 1
    assert "H1   failed   step 1 of 2, POST /v1/models/half_plus_two:predict: expected status 200" in done.stdout
    assert "0 ok, 1 failed, 0 skipped" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give both --rest and --grpc"),
        (["--rest", "host:8501", "--grpc", "host:8500"], "--rest takes a URL such as"),
        (["--rest", f"http://{LOOPBACK}:{free_port()}", "--grpc", f"{LOOPBACK}:1"], "nothing answers over REST"),
        (["--rest", f"http://{LOOPBACK}:1", "--grpc", f"{LOOPBACK}:1", "Z9"], "unknown case. Received: Z9. Known: A1,"),
    ],
)
def test_mistakes(words, message):
    done = conform(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_models_for_a_container(tmp_path):
    folder = tmp_path / "models"
    done = conform("--write-models", str(folder), "--mounted-at", "/conformance")
    assert done.returncode == 0, done.stderr
    assert f"-v {folder}:/conformance:ro" in done.stdout
    assert "--model_config_file=/conformance/models.config" in done.stdout
    assert 'base_path: "/conformance/half_plus_two"' in (folder / "models.config").read_text()
    assert (folder / "half_plus_two_tf1/00000123/saved_model.pb").is_file()
    again = conform("--write-models", str(folder))
    assert again.returncode == 2
    assert "needs an empty folder" in again.stderr
