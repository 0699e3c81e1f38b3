"""The main job, as a user runs it: every path, real servers, a report; and what happens when things are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from browsers import CHROMIUM
from cxx import COMPILER, NEEDS_COMPILER
from patience import wait_for

from pipelines.commands.base import end_with
from pipelines.paths import PATHS, path_module
from pipelines.report.json_face import read
from pipelines.results import IN_BROWSER, IN_PROCESS, Cause, Report

SECONDS = "0.8"
SKIPPED = {
    **dict.fromkeys(("torch-compile", "aotinductor"), "Inductor needs a C++ compiler"),
    **dict.fromkeys(("tfjs", "onnxruntime-web", "litert-web"), "no browser: "),
}
"""Why a path is skipped where a machine has no compiler, or no browser."""

EXPORTS = ("onnxruntime:pytorch", "onnxruntime:keras")
MEASURED = (
    *("tf-serving:fp32", "litert:fp32", "litert-torch:fp32", "torchserve:export", "torch-export:fp32"),
    *("torchscript:frozen", "torch-compile:fp32", "aotinductor:fp32", "executorch:int8", "onnxruntime:pytorch"),
    *("openvino:fp32", "tfjs:fp32", "onnxruntime-web:fp32", "litert-web:fp32"),
)
"""One variant of every path: 31 of the 90 rows. What differs between the variants, the tests of the paths look at."""
pytestmark = pytest.mark.timeout(1600)  # every path is packaged and served, beside the tests of another worker


@pytest.fixture(scope="module")
def report(cli: Any, trained: Any) -> Report:
    """A whole run of every path; short load tests."""
    done = cli("run", "mnist_cnn", *MEASURED, "--duration", SECONDS, "--budget", "0", timeout_s=1500)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "Ship " in done.stdout
    return read(cli.workspace / "reports" / "mnist_cnn" / "latest" / "report.json")


def test_every_path_is_ok_in_every_stage(report: Report) -> None:
    assert {f"{row.path}:{row.variant}" for row in report.artifacts} == set(MEASURED)
    assert {row.path for row in report.artifacts} == set(PATHS)
    for row in report.artifacts:
        if row.status == "skipped":
            assert str(row.reason).startswith(SKIPPED.get(row.path, "nothing skips this path")), row
            assert (CHROMIUM if path_module(row.path).CARD.where == IN_BROWSER else COMPILER) is None
            continue
        assert (row.status, row.reason) == ("ok", None), row
        assert row.certificate is not None
        assert row.certificate.passed


def test_every_artifact_holds_numbers_of_the_precision_that_its_variant_promises(report: Report) -> None:
    for row in report.artifacts:
        if row.status == "skipped":
            continue
        assert row.holds is not None
        weights = row.holds.weights
        promised = path_module(row.path).CARD.variants[row.variant].precision
        main = "int8" if promised == "int8" else "float32"
        assert weights[main] > 0.9 * sum(weights.values()), row
        # The graph that crops pictures has a few factors in float64: scalars, no weights.
        strange = {kind: size for kind, size in weights.items() if kind != main and not kind.startswith("int")}
        assert promised != "fp32" or sum(strange.values()) < 100, row
        assert (row.holds.delegated is None) == (row.path != "executorch"), row


def test_every_row_was_served_measured_and_answered_right(report: Report) -> None:
    wanted = {
        (path, variant, way)
        for path, _, variant in (name.partition(":") for name in MEASURED)
        for way in path_module(path).CARD.ways
    }
    assert {(row.path, row.variant, row.way) for row in report.rows} == wanted
    skipped = {(row.path, row.variant) for row in report.artifacts if row.status == "skipped"}
    for row in report.rows:
        if (row.path, row.variant) in skipped:
            assert (row.status, row.measurement) == ("skipped", "missing")
            continue
        assert row.status == "ok", row
        assert [scenario.name for scenario in row.scenarios] == ["single-stream", "offline", "server"]
        assert all(scenario.match_share == 1.0 for scenario in row.scenarios), row
        # A machine that others use may disturb a measurement; nothing else may.
        assert all(scenario.valid or Cause.MACHINE in scenario.invalid_causes for scenario in row.scenarios), row
        assert row.measurement == ("sound" if all(one.valid for one in row.scenarios) else "disturbed")
        assert all(scenario.answers_checked > 0 and scenario.load.errors == 0 for scenario in row.scenarios)
        assert row.cold_start_s is not None
        assert row.peak_memory_bytes is not None
        assert row.peak_memory_bytes > 10_000_000
        served = row.where == "served"
        assert (row.server is not None) == served
        assert (row.share_of_in_process is not None) == served
        assert (row.answer is not None) == served
        in_page = (row.load_s, row.download_bytes, row.page_memory_bytes)
        assert [figure is not None for figure in in_page] == [row.where == IN_BROWSER] * 3


def test_percentiles_are_claimed_only_where_the_count_supports_them(report: Report) -> None:
    for row in report.rows:
        for scenario in row.scenarios:
            answered = scenario.load.requests - scenario.load.errors
            counted = answered if not scenario.generator.cut_share else 0  # what was cut is in no percentile
            unclaimable = any(one.percentile == "p99" for one in scenario.latency.unclaimable)
            assert (scenario.latency.p99_ms is None) == unclaimable
            assert unclaimable or answered >= 459
            assert not unclaimable or counted < 459


def test_the_parent_stays_small(report: Report) -> None:
    assert report.parent_peak_rss_bytes is not None
    assert report.parent_peak_rss_bytes < 300_000_000


def test_the_report_is_there_in_every_form(cli: Any, report: Report) -> None:
    folder = cli.workspace / "reports" / "mnist_cnn" / "latest"
    page = (folder / "report.html").read_text()
    for row in report.rows:
        assert row.way in page
        assert row.variant in page
    shown = cli("report", "mnist_cnn")
    assert shown.returncode == 0
    assert report.recommendation.reason.split()[0] in shown.stdout
    assert cli.json("report", "mnist_cnn")["model"] == "mnist_cnn"


def test_a_second_run_rebuilds_nothing(cli: Any, report: Report) -> None:
    rows = cli.json("run", "mnist_cnn", "litert:fp32", "onnxruntime:pytorch", "--duration", "0.5", "--budget", "0")
    assert rows["training"]["cached"] is True
    assert all(row["cached"] for row in rows["artifacts"])
    assert all(row["package"] is None and row["verify"] is None for row in rows["artifacts"])


@contextmanager
def hogs() -> Iterator[None]:
    """Two processes that never rest on every processor that a test may use."""
    words = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(words) for _ in range(2 * len(os.sched_getaffinity(0)))]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


def test_beside_others_that_take_the_processors_a_run_ends_well(cli: Any, trained: Any) -> None:
    """The paths are as good as ever; only their figures are not, and latency recommends none of them."""
    paths = ("litert:fp32", "onnxruntime:pytorch")
    cli.json("package", "mnist_cnn", *paths)
    words = ["run", "mnist_cnn", *paths, "--duration", "1", "--budget", "4", "--strict"]
    with hogs():
        found = cli.json(*words, code=1, timeout_s=280)  # 1: because they are disturbed
        assert {row["status"] for row in found["rows"]} == {"ok"}, found["rows"]
        assert {row["measurement"] for row in found["rows"]} == {"disturbed"}, found["rows"]
        assert "compared by CPU time, not by latency" in found["recommendation"]["reason"]
    end_with(read(cli.workspace / "reports" / "mnist_cnn" / "latest" / "report.json"))  # not strict: no failure


def test_two_runs_have_two_folders_and_latest_is_the_newer(cli: Any, report: Report) -> None:
    base = cli.workspace / "reports" / "mnist_cnn"
    folders = sorted(path.name for path in base.iterdir() if path.is_dir() and not path.is_symlink())
    assert len(folders) >= 2
    assert (base / "latest").resolve().name == folders[-1]


SERVED = [
    pytest.param(name, marks=NEEDS_COMPILER if name == "aotinductor" else ())
    for name in PATHS
    if path_module(name).CARD.server
]


@pytest.mark.parametrize("path", SERVED)
def test_serve_and_predict_over_every_protocol(cli: Any, trained: Any, path: str, nothing_left: Any) -> None:
    name = next(one for one in MEASURED if one.partition(":")[0] == path)  # it is packaged already
    expected = cli.json("predict", name, "--from-test-set", "7", "--top", "3")[0]
    process = cli.start("serve", name, "--json")
    try:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        assert set(facts["endpoints"]) == set(path_module(path).CARD.protocols)
        token = ["--token-file", facts["token_file"]] if facts["token_file"] else []
        for protocol, url in facts["endpoints"].items():
            there = ("--url", url, "--protocol", protocol)
            (answer,) = cli.json("predict", path, "--from-test-set", "7", "--top", "3", *there, *token)
            for got, want in zip(answer["labels"], expected["labels"], strict=True):
                assert got["label"] == want["label"], protocol
                assert got["probability"] == pytest.approx(want["probability"], abs=1e-5), protocol
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert nothing_left() == []


def wait_for_server(command: subprocess.Popen[str], words: str, seconds: float = 90.0) -> psutil.Process:
    """The server's own process, once it listens and is being load-tested."""
    deadline = time.monotonic() + seconds
    while True:
        assert time.monotonic() < deadline, f"no process of {words}"
        assert command.poll() is None, command.communicate()
        children = psutil.Process(command.pid).children(recursive=True)
        lines = {child.pid: " ".join(_words(child)) for child in children}
        loading = any("pipelines.loadtest.generator.generator" in line for line in lines.values())
        for child in children:
            if loading and words in lines[child.pid]:
                return child
        time.sleep(0.02)


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


KILLED = {
    "tf-serving:fp32": "serving.tf_serving",
    "torchserve:torchscript": "org.pytorch.serve.ModelServer",
    "onnxruntime:pytorch": "serving.open_inference",
}


@pytest.mark.parametrize("artifact", KILLED)
def test_a_server_killed_during_a_load_test_is_a_failed_row_and_a_finished_run(
    cli: Any, trained: Any, artifact: str, nothing_left: Any
) -> None:
    words = ("--duration", "1", "--budget", "0", "--scenario", "single-stream")
    process = cli.start("run", "mnist_cnn", artifact, *words, "--json")
    wait_for_server(process, KILLED[artifact]).kill()
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 1, errors
    rows = {row["protocol"] or row["where"]: row for row in json.loads(output)["rows"]}
    assert rows[IN_PROCESS]["status"] == "ok"
    # Which protocol comes first is chance.
    protocols = path_module(artifact.partition(":")[0]).CARD.protocols
    (killed,) = (name for name in protocols if rows[name]["status"] == "failed")
    assert "ended during the load test (signal 9)" in rows[killed]["reason"]
    # The others get a new server.
    for other in set(protocols) - {killed}:
        assert rows[other]["status"] == "ok", rows[other]["reason"]
    assert nothing_left() == []


def test_ctrl_c_keeps_what_is_known_and_leaves_nothing(cli: Any, trained: Any, nothing_left: Any) -> None:
    # The seed of an order that begins with pytorch, in process and then served.
    process = cli.start("run", "mnist_cnn", *EXPORTS, "--duration", "4", "--seed", "0")
    wait_for_server(process, "serving.open_inference")
    assert process.stderr is not None
    while not process.stderr.readline().endswith(", offline\n"):  # one scenario of the first protocol is done
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "slipway: interrupted; everything that was started has been stopped" in errors
    assert "Traceback" not in errors
    assert nothing_left() == []
    base = cli.workspace / "reports" / "mnist_cnn"
    newest = max(folder for folder in base.iterdir() if not folder.is_symlink())
    if (base / "latest").resolve() != newest:  # an earlier whole run stays the latest
        assert not read(base / "latest" / "report.json").interrupted
    partial = read(newest / "report.json")
    assert partial.interrupted is True
    statuses = {(row.variant, row.way): row.status for row in partial.rows}
    assert statuses["pytorch", IN_PROCESS] == "ok"
    assert statuses["keras", IN_PROCESS] == "skipped"
    assert "interrupted" in output
    # What the server at hand had answered until then is kept.
    (cut,) = (row for row in partial.rows if row.scenarios and row.where == "served")
    assert (cut.status, cut.reason) == ("skipped", "interrupted; measured until then: single-stream")
    assert partial.fairness is not None
    ((first, *served),) = partial.fairness.order
    assert first == "onnxruntime:pytorch in-process"
    # The order of the artifact's protocols, of which one was begun.
    protocols = path_module("onnxruntime").CARD.protocols
    assert sorted(served) == sorted(f"onnxruntime:pytorch {name}" for name in protocols)
    assert served[0] == f"onnxruntime:pytorch {cut.protocol}"


def test_ctrl_c_while_training_ends_with_a_report(fresh_cli: Any, nothing_left: Any) -> None:
    process = fresh_cli.start("run", "mnist_cnn", *EXPORTS, "litert:fp32")
    reports, deadline = fresh_cli.workspace / "reports" / "mnist_cnn", time.monotonic() + 60
    while not any(log.stat().st_size for log in reports.glob("*/logs/train-pytorch.log")):  # an epoch is done
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "slipway: interrupted; everything that was started has been stopped" in errors
    assert "Traceback" not in errors
    assert "interrupted" in output
    assert nothing_left() == []
    partial = read(reports / "latest" / "report.json")
    assert (partial.interrupted, partial.training) == (True, None)
    assert {(row.path, row.variant) for row in partial.rows} == {
        ("onnxruntime", "pytorch"), ("onnxruntime", "keras"), ("litert", "fp32")
    }  # fmt: skip
    found = {(one.status, one.reason) for one in (*partial.artifacts, *partial.rows)}
    assert found == {("skipped", "interrupted before it was measured")}
    assert (reports / "latest" / "report.html").stat().st_size > 1000
    shown = fresh_cli("report", "mnist_cnn")
    assert shown.returncode == 0
    assert "interrupted before it was measured" in shown.stdout


def test_rounds_are_medians_in_an_order_that_the_seed_gives(cli: Any, trained: Any) -> None:
    words = ("--repeat", "2", "--seed", "5", "--curve", "--duration", "0.6", "--budget", "0")
    scenarios = ("--scenario", "server", "--scenario", "single-stream")
    run = cli.json("run", "mnist_cnn", "onnxruntime:pytorch", *words, *scenarios)
    fairness = run["fairness"]
    names = [f"onnxruntime:pytorch {row['protocol'] or row['where']}" for row in run["rows"]]
    assert fairness["seed"] == 5
    assert [sorted(each) for each in fairness["order"]] == [sorted(names)] * 2
    assert len(fairness["beats"]) == 1 + 2 * 2 + 1
    assert fairness["noisy"] == any(not check["passed"] for check in fairness["checks"])
    for row in run["rows"]:
        assert (row["status"], row["breaches"]) == ("ok", []), row
        assert row["rounds"] == 2, row
        for scenario in row["scenarios"]:
            spread = next(one for one in scenario["spreads"] if one["figure"] == "latency.p50_ms")
            assert scenario["latency"]["p50_ms"] == pytest.approx(sum(spread["values"]) / len(spread["values"]))
            assert scenario["server"]["threads"] >= 1
            assert 0 <= scenario["server"]["foreign_cpu_share"] <= 1
            assert scenario["server"]["cpus"] == fairness["server_cpus"]
        probe = row["threads_probe"]
        assert (probe is None) == (row["where"] != "served")
        assert probe is None or probe["server"]["cores"] > 0
        curve = next(one["curve"] for one in row["scenarios"] if one["name"] == "server")
        rates = [point["offered_per_s"] for point in curve]
        assert rates == sorted(rates)
        assert len(rates) == (7 if row["where"] == "served" else 0)
    page = (cli.workspace / "reports" / "mnist_cnn" / "latest" / "report.html").read_text()
    assert "plot-curve" in page
    assert ">Fairness</h2>" in page


@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_killed_run_leaves_no_process(cli: Any, trained: Any, kill: signal.Signals, nothing_left: Any) -> None:
    process = cli.start("run", "mnist_cnn", "torchserve:torchscript", "--duration", "4")
    wait_for_server(process, "org.pytorch.serve.ModelServer")
    process.send_signal(kill)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 20
    while nothing_left():
        assert time.monotonic() < deadline, nothing_left()
        time.sleep(0.05)


def test_ctrl_c_while_packaging(cli: Any, trained: Any, nothing_left: Any) -> None:
    process = cli.start("package", "mnist_cnn", "litert", "--rebuild")
    wait_for(lambda: any("package" in _words(child) for child in psutil.Process(process.pid).children()))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert nothing_left() == []
    assert list((cli.workspace / "artifacts" / ".store").glob("*aside*")) == []


def test_loadtest_alone_prints_rows_and_keeps_no_report(cli: Any, trained: Any) -> None:
    base: Path = cli.workspace / "reports" / "mnist_cnn"
    before = sorted(base.iterdir()) if base.exists() else []
    (row,) = cli.json("loadtest", "mnist_cnn", "litert:fp32", "--scenario", "server", "--rate", "100")
    assert row["status"] == "ok"
    (scenario,) = row["scenarios"]
    assert scenario["load"]["offered_per_s"] == 100.0
    assert scenario["load"]["requests"] / scenario["load"]["duration_s"] == pytest.approx(100, rel=0.25)
    assert (sorted(base.iterdir()) if base.exists() else []) == before
