"""Claims on deployment that are measured by themselves, S9, V2, V4, V5; and those that nothing here can test."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from conftest import Cli
from deployed import bench_of, said

from models.trained import TrainedModel
from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import NotPossible
from pipelines.claims import ClaimReading, Evidence, Ruling, claim_module, s9, v2, v4, v5
from pipelines.claims.experiments.deployment import exports, monitored, sizes
from pipelines.claims.experiments.deployment.foreign import FOREIGN
from serving.launch import LaunchRequest
from serving.tf_serving import recipe


@pytest.mark.parametrize("name", ["D5", "E7", "E8", "V6", "H4"])
def test_what_nothing_here_can_test_says_why(name: str, tmp_path: Path) -> None:
    module = claim_module(name)
    assert module.CLAIM.kind == "not here"
    evidence = module.measure(bench_of(tmp_path))
    assert "Not testable here" in said(name, module.judge(evidence), Ruling.NOT_HERE)
    assert module.plot(evidence) is None


@pytest.mark.parametrize("name", ["S9", "V2", "V4", "V5"])
def test_without_evidence_a_claim_is_undecided(name: str) -> None:
    said(name, claim_module(name).judge(Evidence()), Ruling.UNDECIDED)


def times(*intervals: tuple[float, float]) -> Evidence:
    readings = tuple(
        ClaimReading(f"model{number}", (low + high) / 2, low=low, high=high)
        for number, (low, high) in enumerate(intervals)
    )
    return Evidence(readings, {"served": True}, controls=(ClaimReading("again", 1.0, low=0.99, high=1.01),))


@pytest.mark.parametrize(
    ("evidence", "outcome", "words"),
    [
        (Evidence(facts={"served": False}), Ruling.HOLDS, "holds"),
        (times((1.11, 1.2), (5.0, 9.0)), Ruling.DEPENDS, "possible-and-dear"),
        (times((1.0, 1.09), (5.0, 9.0)), Ruling.DEPENDS, "depends"),
        (times((0.9, 1.09), (1.0, 1.05)), Ruling.DOES_NOT_HOLD, "does-not-hold"),
        (times((1.05, 1.2), (5.0, 9.0)), Ruling.UNDECIDED, "undecided"),
    ],
)
def test_s9_can_it_be_served_and_at_what_cost(evidence: Evidence, outcome: Ruling, words: str) -> None:
    said("S9", s9.judge(evidence), outcome, words)
    assert s9.plot(evidence) is not None


def test_s9_serves_and_times_an_eager_model(tmp_path: Path) -> None:
    evidence = s9.measure(bench_of(tmp_path))
    assert evidence.facts["served"]
    assert [len(one.raw) for one in evidence.readings] == [2, 2]
    assert all(one.value > 1.5 for one in evidence.readings)  # seen: 8 to 17
    assert len(evidence.controls) == 2


def networks(*words: str) -> Evidence:
    """Networks that pass by every route but for one, each with a word in place of it: ``ROUTE word``."""
    found = {}
    for number, text in enumerate(words):
        routes = {route: {"word": "ok", "why": ""} for route in exports.ROUTES}
        for part in filter(None, text.split(", ")):
            route, _, word = part.partition("=")
            routes[route] = {"word": word, "why": ""}
        found[f"network{number}"] = routes
    return Evidence(facts={"networks": found})


@pytest.mark.parametrize(
    ("evidence", "outcome", "words"),
    [
        (networks("", "jit.script=refused", "torch.export=refused"), Ruling.HOLDS, "holds"),
        (networks("", "OpenVINO=failed"), Ruling.DEPENDS, "depends"),
        (networks("", "jit.trace=refused, jit.script=refused"), Ruling.DEPENDS, "depends"),
        (networks("", "jit.trace=silently wrong"), Ruling.DEPENDS, "silently-wrong"),
        (networks("", "jit.trace=failed, jit.script=refused, OpenVINO=failed"), Ruling.DEPENDS, "depends"),
        (networks("jit.trace=failed, jit.script=refused, OpenVINO=failed"), Ruling.DOES_NOT_HOLD, "does-not-hold"),
    ],
)
def test_v2_success_and_parity(evidence: Evidence, outcome: Ruling, words: str) -> None:
    said("V2", v2.judge(evidence), outcome, words)
    grid = v2.plot(evidence)
    assert grid is not None
    assert grid.columns == exports.ROUTES  # type: ignore[union-attr]


def test_v2_takes_networks_through_every_route(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    found = exports.run(bench)
    assert list(found["networks"]) == list(FOREIGN)[: exports.NETWORKS[bench.effort]]
    words = {name: {route: one["word"] for route, one in routes.items()} for name, routes in found["networks"].items()}
    assert words["residual"] == dict.fromkeys(exports.ROUTES, "ok")
    assert (words["branch"]["jit.trace"], words["branch"]["ONNX Runtime"]) == ("refused", "ok")
    assert any("`torch.jit.trace` is deprecated" in line for line in found["warnings"])
    evidence = v2.measure(replace(bench, shared=lambda _: found))
    said("V2", v2.judge(evidence), Ruling.DEPENDS)


def test_v2_a_wrong_answer_another_shape_and_another_count_are_seen() -> None:
    import torch

    right = [torch.ones(2, 3)]
    assert exports._apart(right, [torch.ones(2, 3).numpy()]) == 0
    assert exports._apart(right, [torch.full((2, 3), 1.5).numpy()]) == pytest.approx(0.5)
    assert exports._apart(right, [torch.ones(1, 3).numpy()]) == float("inf")
    assert exports._apart(right, [torch.full((2, 3), float("nan")).numpy()]) == float("inf")
    assert exports._apart(right, []) == float("inf")


def runtimes(executorch: float, libraries: tuple[str, ...] = (), *, works: bool = True) -> Evidence:
    readings = {"libtorch": 300.0, "ExecuTorch": executorch, "LiteRT": 14.0, "ONNX Runtime": 35.0, "TensorFlow": 1000.0}
    facts = {
        "lite_interpreter": {"works": works, "libraries": list(libraries), "why": ""},
        "state": "deprecated since November 2024 (a page)",
    }
    return Evidence(tuple(ClaimReading(f"{name}, core", value, "MB") for name, value in readings.items()), facts)


@pytest.mark.parametrize(
    ("evidence", "outcome", "words"),
    [
        (runtimes(14.0, ("libtorch_mobile.so",)), Ruling.HOLDS, "holds"),
        (runtimes(14.0, ("libtorch_mobile.so",), works=False), Ruling.DEPENDS, "by-its-successor"),
        (runtimes(149.0), Ruling.DEPENDS, "by-its-successor"),
        (runtimes(151.0), Ruling.DOES_NOT_HOLD, "does-not-hold"),
    ],
)
def test_v4_the_interpreter_and_its_successor(evidence: Evidence, outcome: Ruling, words: str) -> None:
    said("V4", v4.judge(evidence), outcome, words)
    bars = v4.plot(evidence)
    assert bars is not None
    assert bars.log  # type: ignore[union-attr]


def test_v4_reads_sizes_and_tries_the_lite_interpreter(tmp_path: Path) -> None:
    evidence = v4.measure(bench_of(tmp_path))
    by_name = {one.name: one.value for one in evidence.readings}
    assert len(by_name) == 2 * len(sizes.RUNTIMES)
    assert all(0 < by_name[f"{name}, core"] <= by_name[f"{name}, full"] for name in sizes.RUNTIMES)
    assert any("Lite Interpreter is deprecated" in line for line in evidence.warnings)
    said("V4", v4.judge(evidence), Ruling.DEPENDS, "by-its-successor")


def test_v4_symbols_do_not_count(tmp_path: Path) -> None:
    """The bytes that are loaded are those that are left when the library is stripped, but for a few tables."""
    import importlib.metadata
    import subprocess

    strip = shutil.which("strip")
    if strip is None:
        pytest.skip("binutils are not installed")
    library = next(
        Path(str(one.locate()))
        for one in importlib.metadata.files("ai-edge-litert") or ()
        if one.name == "libpywrap_litert_common.so"
    )
    subprocess.run([strip, "-o", str(tmp_path / "stripped.so"), str(library)], check=True)
    assert sizes.loaded_bytes(library) == pytest.approx((tmp_path / "stripped.so").stat().st_size, rel=0.01)


def test_v4_what_is_no_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.so").write_bytes(b"MZ" * 64)
    with pytest.raises(NotPossible, match=r"64-bit ELF libraries.*Received: a.so"):
        sizes.loaded_bytes(tmp_path / "a.so")


def watched(**counts: int) -> Evidence:
    """Servers that show so many of the things that matter."""
    servers = {
        name.replace("_", " "): {
            "server": name,
            "shows": {kind: ["a"] * (place < count) for place, kind in enumerate((*v5.NEEDED, *v5.BESIDE))},
        }
        for name, count in counts.items()
    }
    return Evidence(facts={"servers": servers, "missing": {}})


@pytest.mark.parametrize(
    ("evidence", "outcome"),
    [
        (watched(TF_Serving=3, TorchServe=2), Ruling.HOLDS),
        (watched(TF_Serving=2), Ruling.DEPENDS),
        (watched(TF_Serving=0, TorchServe=3), Ruling.DOES_NOT_HOLD),
        (watched(TorchServe=3), Ruling.UNDECIDED),
    ],
)
def test_v5_what_the_metrics_show(evidence: Evidence, outcome: Ruling) -> None:
    said("V5", v5.judge(evidence), outcome)
    assert v5.plot(evidence) is not None


def test_v5_metrics_of_slipways_own_server_prove_nothing_of_googles(tmp_path: Path) -> None:
    evidence = watched(TF_Serving=3, TorchServe=2)
    _, name = recipe._embedded(LaunchRequest("m", tmp_path, tmp_path, 1, 2))
    evidence.facts["servers"]["TF Serving"]["server"] = name
    text = said("V5", v5.judge(evidence), Ruling.DEPENDS, "own-server")
    assert "Google's server was not run" in text


PAGE = """\
# TYPE done counter
done_total{{status="OK"}} {right}
done_total{{status="BAD"}} {wrong}
# TYPE took_seconds histogram
took_seconds_bucket{{le="1"}} {right}
took_seconds_bucket{{le="+Inf"}} {right}
took_seconds_sum {right}.5
took_seconds_count {right}
# TYPE latency_microseconds counter
latency_microseconds_total {right}00
# TYPE queue_length gauge
queue_length 0
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 1000
# TYPE process_cpu_seconds counter
process_cpu_seconds_total {right}
# TYPE idle counter
idle_total 7
"""


def test_v5_reads_pages_of_metrics() -> None:
    pages = (PAGE.format(right=1, wrong=0), PAGE.format(right=21, wrong=0), PAGE.format(right=21, wrong=5))
    assert monitored.shown(*pages, 20, 5) == {
        "requests": ["done_total", "took_seconds_count"],
        "errors": ["done_total{status=BAD}"],
        "latency histogram": ["took_seconds"],
        "latency sum": ["latency_microseconds_total"],
        "queue": ["queue_length"],
        "memory": ["process_resident_memory_bytes"],
    }


def test_v5_a_metric_that_the_wrong_requests_alone_do_not_move_is_no_error() -> None:
    still = (PAGE.format(right=1, wrong=5), PAGE.format(right=21, wrong=5), PAGE.format(right=21, wrong=5))
    assert monitored.shown(*still, 20, 5)["errors"] == []


def test_v5_without_an_artifact_it_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(NotPossible, match="slipway package mnist_cnn tf-serving"):
        v5.measure(bench_of(tmp_path))


def test_v5_watches_a_real_server(cli: Cli, trained: TrainedModel, tmp_path: Path) -> None:
    cli.json("package", "mnist_cnn", "onnxruntime:pytorch")
    bench = replace(bench_of(tmp_path), workspace=Workspace(cli.workspace))
    found = monitored.watch(bench.workspace, "KServe with ONNX Runtime", tmp_path / "server")
    assert found["server"].startswith("KServe")
    assert found["shows"]["latency histogram"]
    assert found["shows"]["errors"] == []
