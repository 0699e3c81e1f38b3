"""Made-up runs, and benches that give them: what the tests of claims on deployment share."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.artifacts.workspace import Workspace
from pipelines.claims import Ruling, Verdict
from pipelines.claims.experiments.bench import Effort, Workbench
from pipelines.claims.texts import catalogue
from pipelines.fairness.rounds import changed
from pipelines.results import IN_PROCESS, ArtifactRow, Report, Row, StageUsage

# Tests are no packages (importlib mode): this is how they find the modules that they share.
sys.path.append(str(Path(__file__).parents[1] / "report"))

import report_samples as samples

TENSORFLOW = {"tf-serving:fp32": "tf-serving-rest", "litert:fp32": None, "litert:int8": None}
PYTORCH = {
    "torchserve:export": "torchserve-rest",
    "torchserve:torchscript": "torchserve-rest",
    "torch-export:fp32": "open-inference-grpc",
    "torchscript:traced": None,
    "aotinductor:fp32": "open-inference-grpc",
    "executorch:fp32": "open-inference-grpc",
    "onnxruntime:pytorch": "open-inference-grpc",
    "openvino:fp32": "open-inference-grpc",
}
"""Names of artifacts, and the protocol that each is served over: None for those that have no server."""


def run_of(
    words: Mapping[str, str] | None = None,
    cpu_ms: Mapping[str, float] | None = None,
    packaging_s: Mapping[str, float] | None = None,
    leave_out: tuple[str, ...] = (),
) -> Report:
    """Return a report in which every artifact is ok, but for ``words``: {name: its status, or ``wrong``}.

    ``cpu_ms`` is the CPU time of a call, 1 ms if not given; ``packaging_s`` that of packaging, 5 s; 0 is not measured.
    """
    artifacts, rows = [], []
    for framework, names in (("tensorflow", TENSORFLOW), ("pytorch", PYTORCH)):
        for name, protocol in names.items():
            if name in leave_out:
                continue
            made = _artifact(name, framework, (words or {}).get(name, "ok"), (packaging_s or {}).get(name, 5.0))
            artifacts.append(made)
            for way in (IN_PROCESS, protocol):
                if way:
                    rows.append(_row(made, way, (cpu_ms or {}).get(name, 1.0)))
    return samples.report(tuple(artifacts), tuple(rows), started="2026-11-29T01:02:03+00:00")


def _artifact(name: str, framework: str, word: str, packaging_s: float) -> ArtifactRow:
    path, _, variant = name.partition(":")
    usage = StageUsage(packaging_s, packaging_s, 1) if packaging_s else None
    made = samples.artifact(path, variant, 1_000_000, framework=framework, package=usage)
    if word == "ok":
        return made
    proof = samples.certificate(passed=False) if word == "wrong" else None
    status = "failed" if word == "wrong" else word
    return replace(made, status=status, reason=word, certificate=proof)  # type: ignore[arg-type]


def _row(artifact: ArtifactRow, way: str, cpu_ms: float) -> Row:
    if artifact.status != "ok":
        return Row.at(artifact.path, artifact.variant, way, artifact.status, artifact.reason)
    row = samples.row(artifact.path, artifact.variant, way, measurement="sound")
    loads = tuple(changed(load, {"server.cpu_ms_per_request": cpu_ms}) for load in row.scenarios)
    return replace(row, scenarios=loads)


def bench_of(folder: Path, reports: Mapping[str, Report] | None = None, shared: Any = None) -> Workbench:
    """Return a bench for tests: these reports, and one result for every shared experiment."""
    return Workbench(
        effort=Effort.TINY,
        seed=7,
        folder=folder,
        kept=folder / "environments",
        partial=folder / "partial",
        log=folder / "log.txt",
        workspace=Workspace(folder / "workspace"),
        shared=lambda _: shared,
        reports=lambda: reports or {},
    )


def said(name: str, verdict: Verdict, outcome: Ruling, words: str | None = None) -> str:
    """Check a verdict, and that both languages have its sentence with every place filled; return the English one."""
    assert verdict.outcome is outcome
    if words is not None:
        assert verdict.key == words
    text = catalogue()[name].says(verdict)
    for one in (text.en, text.zh):
        assert one
        assert "{" not in one
    return text.en
