"""S6: Lite and JS are complete, PyTorch Mobile and ONNX catch up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.claims import Claim, ClaimReading, Evidence, Ruling, Verdict
from pipelines.claims.experiments.deployment import runs
from pipelines.claims.plots import Dumbbells, Point
from pipelines.claims.status import technologies

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot
    from pipelines.results import ArtifactRow, Report, Row

CLAIM = Claim(
    id="S6",
    sections=(2,),
    kind="testable",
    sources=("pipelines.claims.experiments.deployment.runs", "pipelines.claims.status"),
    reads_runs=True,
)

OWN, RIVALS = "litert:fp32", {"ExecuTorch": "executorch:fp32", "ONNX Runtime": "onnxruntime:pytorch"}
"""Compared are the same float32 weights in the three runtimes for devices, called in process, one row a call."""
PATHS = ("litert", "executorch", "onnxruntime")
SLOWER = 1.25
"""From how many times the CPU time of a call on a runtime is behind. A run measures a row once by default, so there may
be no interval: this is beyond the 10 to 15 % by which CPU times of two runs differ on a shared machine."""
FIGURES: dict[str, Callable[[ArtifactRow, Row], float | None]] = {
    "CPU time": lambda artifact, row: runs.cpu_ms(row),  # noqa: ARG005
    "memory": lambda artifact, row: row.peak_memory_bytes,  # noqa: ARG005
    "size": lambda artifact, row: artifact.size_bytes,  # noqa: ARG005
}


def measure(bench: Workbench) -> Evidence:
    """Read what each runtime took, and CPU time, memory and size of its float32 artifact over LiteRT's."""
    reports = bench.reports()
    taken = runs.taken(reports, lambda one: one.path in PATHS)
    readings = []
    for model, report in reports.items():
        own = _figures(report, OWN)
        for rival, name in RIVALS.items():
            other = _figures(report, name)
            readings += [
                ClaimReading(
                    f"{model}: {figure} of {rival} over LiteRT's",
                    other[figure] / own[figure],
                    raw=((other[figure], own[figure]),),
                )
                for figure in FIGURES
                if own.get(figure) and other.get(figure)
            ]
    states = {name: technologies()[name].says() for name in ("executorch", "lite-interpreter", "tensorflow-js")}
    return Evidence(tuple(readings), {"taken": taken, "states": states}, runs=runs.named(reports))


def _figures(report: Report, name: str) -> dict[str, Any]:
    artifact = next((one for one in report.artifacts if runs.name_of(one) == name), None)
    if artifact is None or runs.word_of(report, artifact) != "ok":
        return {}
    row = next((row for row in runs.rows_of(report, artifact) if row.where == "in-process"), None)
    return {} if row is None else {figure: value(artifact, row) for figure, value in FIGURES.items()}


def judge(evidence: Evidence) -> Verdict:
    """Find both rivals behind, or neither, or some: behind is fewer models taken, or SLOWER times the CPU time."""
    taken = evidence.facts.get("taken", {})
    models = {
        path: [
            model
            for model, words in taken.items()
            if any(n.startswith(f"{path}:") and w == "ok" for n, w in words.items())
        ]
        for path in PATHS
    }
    behind, ahead = [], []
    ratios = []
    for rival, name in RIVALS.items():
        times = [one.value for one in evidence.readings if f"CPU time of {rival} over" in one.name]
        fewer = len(models[name.partition(":")[0]]) < len(models["litert"])
        if not times and not fewer:
            return Verdict(Ruling.UNDECIDED)
        ratios += times
        behind += [fewer or value > SLOWER for value in times] or [fewer]
        ahead += [not fewer and value < 1 / SLOWER for value in times]
    low, high = (f"{end(ratios):.2f}" if ratios else "-" for end in (min, max))
    values = {
        **{path: len(found) for path, found in models.items()},
        "models": len(taken),
        "low": low,
        "high": high,
        "ahead": sum(ahead),
        "cells": len(ratios),
    }
    number = f"{low} to {high}"
    if all(behind):
        return Verdict(Ruling.HOLDS, values, number=number)
    return Verdict(Ruling.DEPENDS if any(behind) else Ruling.DOES_NOT_HOLD, values, number=number)


def plot(evidence: Evidence) -> Plot | None:
    """Show CPU time and memory of a rival over LiteRT's."""
    points = tuple(
        Point(one.name.replace(" over LiteRT's", ""), one.value)
        for one in evidence.readings
        if ": size" not in one.name
    )
    return Dumbbells(points, "times LiteRT's")
