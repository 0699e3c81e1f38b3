"""S3: TensorFlow debugs eagerly, production needs another conversion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.base.errors import NotPossible
from pipelines.claims import Claim, ClaimReading, Evidence, Ruling, Verdict
from pipelines.claims.experiments.deployment import runs

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot
    from pipelines.results import Report

CLAIM = Claim(
    id="S3",
    sections=(2,),
    kind="testable",
    sources=("pipelines.claims.experiments.deployment.runs",),
    reads_runs=True,
)

DEARER = 1.5
"""How many times as much one framework's way must cost to count as dearer: a run packages once, so there is no interval
to go by, and the CPU time of the same packaging varies by a quarter on a shared machine."""
STEPS = {
    "tf-serving": ("export a SavedModel", "start the server"),
    "torchserve": ("export a program", "archive it with its handler", "start the server"),
    "torch-export": ("export a program", "start the server"),
    "aotinductor": ("export a program", "compile it", "start the server"),
    "executorch": ("export a program", "lower it to a .pte file", "start the server"),
    "onnxruntime": ("export to ONNX", "start the server"),
    "openvino": ("export to ONNX", "convert it", "start the server"),
}
"""What lies between a trained model and its first served answer, as the ``package`` of each path does it."""


def measure(bench: Workbench) -> Evidence:
    """Read the cheapest way to a first served answer of each framework: packaging and cold start of a real server.

    Raises NotPossible if the newest runs took their artifacts from the store, so that packaging was not measured.
    """
    reports = bench.reports()
    ways = {model: _cheapest(report) for model, report in reports.items()}
    both = {model: found for model, found in ways.items() if len(found) == 2}
    if not both:
        raise NotPossible(
            "no run packaged and served a model from both frameworks anew. This one does: "
            "slipway run mnist_cnn tf-serving:fp32 torchserve:export onnxruntime:pytorch --rebuild"
        )
    readings = [
        ClaimReading(
            f"{model}: TensorFlow over PyTorch",
            found["tensorflow"]["seconds"] / found["pytorch"]["seconds"],
            raw=((found["tensorflow"]["seconds"], found["pytorch"]["seconds"]),),
        )
        for model, found in both.items()
    ]
    return Evidence(tuple(readings), {"ways": both}, runs=runs.named(reports))


def _cheapest(report: Report) -> dict[str, dict[str, Any]]:
    """Return, for each framework, its row with the least packaging (CPU) and cold start, seconds."""
    found: dict[str, dict[str, Any]] = {}
    for artifact in report.artifacts:
        rows = [row for row in runs.rows_of(report, artifact) if row.where == "served" and runs.answers(row)]
        starts = [row.cold_start_s for row in rows if row.cold_start_s is not None]
        if artifact.package is None or not starts or artifact.path not in STEPS:
            continue
        way = {
            "name": runs.name_of(artifact),
            "packaging_cpu_s": artifact.package.cpu_s,
            "cold_start_s": min(starts),
            "seconds": artifact.package.cpu_s + min(starts),
            "steps": list(STEPS[artifact.path]),
        }
        if artifact.framework not in found or way["seconds"] < found[artifact.framework]["seconds"]:
            found[artifact.framework] = way
    return found


def judge(evidence: Evidence) -> Verdict:
    """Hold it only as a difference between the two: if TensorFlow's way costs DEARER times as much with every model."""
    ratios = [one.value for one in evidence.readings]
    if not ratios:
        return Verdict(Ruling.UNDECIDED)
    ways = evidence.facts["ways"].values()
    steps = {name: min(len(found[name]["steps"]) for found in ways) for name in ("tensorflow", "pytorch")}
    low, high = min(ratios), max(ratios)
    values = {"low": f"{low:.2f}", "high": f"{high:.2f}", **steps, "models": len(ratios)}
    number = f"{low:.2f} to {high:.2f}"
    if low > DEARER:
        return Verdict(Ruling.HOLDS, values, number=number)
    if high < 1 / DEARER:
        return Verdict(Ruling.DOES_NOT_HOLD, values, number=number)
    return Verdict(Ruling.DEPENDS, values, "both", number)


def plot(evidence: Evidence) -> Plot | None:
    """Show the seconds of each framework's cheapest way."""
    from pipelines.claims.plots import Bars

    values = {
        f"{model}, {one['name']}": one["seconds"]
        for model, found in evidence.facts["ways"].items()
        for one in found.values()
    }
    return Bars(values, "seconds to the first served answer")
