"""H5: PyTorch's deployment tools are incomplete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.deployment import runs
from pipelines.claims.plots import Grid
from pipelines.claims.status import unusual

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(
    id="H5",
    sections=(2, 8),
    kind="partly",
    experiments=("deployment.exports",),
    sources=("pipelines.claims.experiments.deployment.runs", "pipelines.claims.status"),
    reads_runs=True,
    beside=True,
)

TARGETS = {
    "a server": ("torchserve", "torch-export", "aotinductor", "executorch", "onnxruntime", "openvino"),
    "a device": ("executorch", "litert-torch", "onnxruntime"),
    "a program without Python": ("aotinductor", "executorch", "onnxruntime", "openvino"),
}
"""Where a PyTorch model may have to go, and slipway's paths there."""
EXPORTED_BY = "ONNX Runtime"
"""The route of V2 that is maintained and leaves PyTorch."""


def measure(bench: Workbench) -> Evidence:
    """Read which paths of PyTorch took every model to each target, and in which state they are; add V2's networks."""
    reports = bench.reports()
    words = runs.taken(reports, lambda one: one.framework == "pytorch")
    targets = {target: {path: _path(path, words) for path in paths} for target, paths in TARGETS.items()}
    networks = bench.shared("deployment.exports")["networks"]
    exported = {name: routes[EXPORTED_BY]["word"] for name, routes in networks.items()}
    return Evidence(facts={"targets": targets, "exported": exported, "models": list(reports)}, runs=runs.named(reports))


def _path(path: str, words: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Return whether a path took every model by one variant at least, and what is unusual about its state."""
    took = [
        any(name.startswith(f"{path}:") and word == "ok" for name, word in found.items()) for found in words.values()
    ]
    return {"takes_all": bool(took) and all(took), "states": [one.status for one in unusual(path)]}


def judge(evidence: Evidence) -> Verdict:
    """Hold it if a target has no maintained path that takes every model; see the foreign networks, too."""
    targets, exported = evidence.facts.get("targets", {}), evidence.facts.get("exported", {})
    if not targets or not exported:
        return Verdict(Ruling.UNDECIDED)
    gaps = [target for target, paths in targets.items() if not any(map(_complete, paths.values()))]
    bad = sum(word != "ok" for word in exported.values())
    values = {
        "gaps": len(gaps),
        "targets": len(targets),
        "bad": bad,
        "networks": len(exported),
        "models": len(evidence.facts["models"]),
    }
    number = f"{len(gaps)} of {len(targets)} targets open"
    if gaps:
        return Verdict(Ruling.HOLDS, values, number=number)
    return Verdict(Ruling.DEPENDS if bad else Ruling.DOES_NOT_HOLD, values, number=number)


def _complete(path: dict[str, Any]) -> bool:
    return bool(path["takes_all"]) and not path["states"]


def plot(evidence: Evidence) -> Plot | None:
    """Show which path takes every model to which target, and is maintained."""
    targets = evidence.facts["targets"]
    paths = tuple(dict.fromkeys(path for found in targets.values() for path in found))
    cells = tuple(tuple(_word(found.get(path)) for found in targets.values()) for path in paths)
    return Grid(paths, tuple(targets), cells)


def _word(path: dict[str, Any] | None) -> str:
    if path is None:
        return "skipped"
    return "ok" if _complete(path) else "refused" if path["states"] else "failed"
