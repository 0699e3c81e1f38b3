"""Runs the command that measures the load test's promises: its verdicts, and its rows for missing tools."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "benchmarks" / "loadtest"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / "run.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env={"PATH": "/nowhere"})


def test_parts_are_measured_one_by_one(tmp_path) -> None:
    """Earlier parts stay; a missing tool is a row with the reason."""
    out = tmp_path / "found.json"
    done = run("--parts", "intervals,large", "--trials", "20", "--out", str(out))
    assert done.returncode == 0, done.stderr
    done = run("--parts", "accuracy", "--tools", "hey,k6", "--out", str(out))
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert set(found["parts"]) == {"intervals", "large", "accuracy"}
    rows = [row for row in found["parts"]["accuracy"]["rows"] if row["tool"] != "truth"]
    assert {(row["kind"], row["tool"]) for row in rows} == {("http", "hey"), ("http", "k6"), ("grpc", "k6")}
    assert all("on the PATH" in row["reason"] for row in rows)
    what = [one["what"] for one in found["verdicts"]]
    assert what == ["coverage of intervals at utilisation 0.8", "percentiles of 10 million samples"]


@pytest.mark.parametrize(("option", "value"), [("--parts", "costs,cost"), ("--tools", "ab")])
def test_a_name_that_is_none(option: str, value: str) -> None:
    done = run(option, value)
    assert done.returncode == 2
    assert "Choose from" in done.stderr


def test_verdicts(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import compare
    import run as benchmark

    truth = {"tool": "truth", "kind": "grpc", "rate": 50, "p50_ms": [5.0, 5.0], "p99_ms": [391.0, 410.0]}
    truth |= {"max_ms": [491.0, 505.0], "mean_ms": [17.3, 18.25]}
    right = {"tool": "slipway", "kind": "grpc", "rate": 50, "p50_ms": 5.09, "p99_ms": 400.0, "max_ms": 500.0}
    right |= {"mean_ms": 17.5, "server_late_mean_ms": 0.0}
    for row, measured, reached in (
        (right, "1.8% at most", True),
        (right | {"p50_ms": 5.11}, "2.2% at most", False),
        (right | {"mean_ms": 18.7}, "2.5% at most", False),
        (right | {"mean_ms": 18.7, "server_late_mean_ms": 0.4}, "1.8% at most", True),
        (right | {"p99_ms": 380.0}, "2.8% at most", False),
        ({"tool": "slipway", "kind": "grpc", "rate": 50, "reason": "why"}, "why", False),
    ):
        (found,) = benchmark.verdicts({"accuracy": {"rows": [truth, row]}})
        assert (found["measured"], found["reached"]) == (measured, reached)
    searches = {"truth_per_s": 386.0, "found": [{"rate_per_s": 380.0, "seconds": 50.0}] * 4}
    (found,) = benchmark.verdicts({"searches": searches})
    assert not found["reached"]  # four are not five
    searches["found"] += [{"rate_per_s": 380.0, "seconds": 59.0}]
    assert benchmark.verdicts({"searches": searches})[0]["reached"]
    searches["found"][0] = {"rate_per_s": 370.0, "seconds": 50.0}
    assert not benchmark.verdicts({"searches": searches})[0]["reached"]
    assert compare._turns(["slipway", "a", "b", "c", "d"], 2) == ["slipway", "a", "b", "slipway", "c", "d"]
    assert compare._turns(["a", "b"], 3) == ["a", "b"]
    assert compare._turns(["slipway"], 3) == ["slipway"] * 3
