"""V4: MobileInterpreter: smaller binaries, efficient on the edge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, ClaimReading, Evidence, Ruling, Verdict
from pipelines.claims.experiments.bench import ChildCall
from pipelines.claims.experiments.deployment.sizes import RUNTIMES, sizes
from pipelines.claims.plots import Bars
from pipelines.claims.status import technologies

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(
    id="V4",
    sections=(6,),
    kind="testable",
    sources=(
        *("pipelines.claims.experiments.deployment.sizes", "pipelines.claims.experiments.deployment.deprecations"),
        "pipelines.claims.status",
    ),
    requires=tuple(runtime.distribution for runtime in RUNTIMES.values()),
    beside=True,
)

SMALLER = 0.5
"""A runtime for devices must need less than this share of libtorch's bytes to have a smaller binary worth the name."""
MB = 1e6


def measure(bench: Workbench) -> Evidence:
    """Read the sizes of five runtimes out of what is installed, and try PyTorch's Lite Interpreter."""
    found = sizes()
    job = ChildCall(
        "pipelines.claims.experiments.deployment.sizes:lite_interpreter", {"folder": str(bench.folder)}, timeout_s=120
    )
    tried = bench.run(job).value
    readings = tuple(
        ClaimReading(f"{name}, {column}", one[column] / MB, "MB")
        for column in ("core", "full")
        for name, one in found.items()
    )
    facts = {
        "versions": {name: one["version"] for name, one in found.items()},
        "lite_interpreter": {name: tried[name] for name in ("works", "why", "libraries")},
        "state": technologies()["lite-interpreter"].says(),
    }
    return Evidence(readings, facts, warnings=tuple(tried["warnings"]))


def judge(evidence: Evidence) -> Verdict:
    """Hold it if torch brings that interpreter as a smaller library; if not, see whether its successor is smaller."""
    sizes_mb = {one.name: one.value for one in evidence.readings}
    tried = evidence.facts.get("lite_interpreter")
    if tried is None or not {"libtorch, core", "ExecuTorch, core"} <= set(sizes_mb):
        return Verdict(Ruling.UNDECIDED)
    successor = sizes_mb["ExecuTorch, core"] / sizes_mb["libtorch, core"]
    values = {
        **{key: f"{sizes_mb[f'{name}, core']:.0f}" for key, name in KEYS.items() if f"{name}, core" in sizes_mb},
        "state": evidence.facts["state"].partition(" (")[0],
        "times": f"{1 / successor:.0f}",
    }
    number = f"{values['executorch']} against {values['libtorch']} MB"
    if tried["works"] and tried["libraries"]:
        return Verdict(Ruling.HOLDS, values, number=number)
    if successor < SMALLER:
        return Verdict(Ruling.DEPENDS, values, "by-its-successor", number)
    return Verdict(Ruling.DOES_NOT_HOLD, values, number=number)


KEYS = {
    "litert": "LiteRT",
    "executorch": "ExecuTorch",
    "onnxruntime": "ONNX Runtime",
    "libtorch": "libtorch",
    "tensorflow": "TensorFlow",
}


def plot(evidence: Evidence) -> Plot | None:
    """Show core and full sizes, apart."""
    return Bars({one.name: one.value for one in evidence.readings}, "MB", log=True)
