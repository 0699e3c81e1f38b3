"""S2: PyTorch deploys by TorchScript and ONNX, less maturely."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.bench import ChildCall
from pipelines.claims.experiments.deployment import runs
from pipelines.claims.status import lifecycle_of

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot
    from pipelines.results import ArtifactRow

CLAIM = Claim(
    id="S2",
    sections=(2,),
    kind="testable",
    sources=(
        *("pipelines.claims.experiments.deployment.runs", "pipelines.claims.experiments.deployment.sizes"),
        *("pipelines.claims.experiments.deployment.deprecations", "pipelines.claims.status"),
    ),
    requires=("torch",),
    reads_runs=True,
)

LESS = 0.10
"""From how many points (0 to 1) on a share is less than another: with some 20 variants a model, two of them."""
ONNX_PATHS = ("onnxruntime", "openvino")
"""The paths that begin with an ONNX file."""


def measure(bench: Workbench) -> Evidence:
    """Read out of the newest runs what each of PyTorch's ways and of TensorFlow's took; meet TorchScript's warnings."""
    reports = bench.reports()
    words = {
        way: runs.taken(reports, lambda one, way=way: way_of(one) == way)  # type: ignore[misc]
        for way in ("TorchScript", "ONNX", "PyTorch otherwise", "TensorFlow")
    }
    doubtful = {
        name: state
        for found in words.values()
        for names in found.values()
        for name in names
        if (state := _state(name)) is not None
    }
    met = bench.run(
        ChildCall("pipelines.claims.experiments.deployment.sizes:lite_interpreter", {"folder": str(bench.folder)})
    ).value["warnings"]
    facts = {"ways": words, "models": list(reports), "states": doubtful}
    return Evidence(facts=facts, warnings=tuple(met), runs=runs.named(reports))


def way_of(artifact: ArtifactRow) -> str:
    """Name the way that an artifact went."""
    if artifact.framework == "tensorflow":
        return "TensorFlow"
    if "torchscript" in (artifact.path, artifact.variant):
        return "TorchScript"
    return "ONNX" if artifact.path in ONNX_PATHS else "PyTorch otherwise"


def _state(name: str) -> str | None:
    path, _, variant = name.partition(":")
    return "; ".join(filter(None, (lifecycle_of(path), lifecycle_of(path, variant)))) or None


def judge(evidence: Evidence) -> Verdict:
    """Ask two things: do both ways take every model, and is PyTorch behind in what passes and in what is maintained."""
    ways, models, states = (evidence.facts.get(name, {}) for name in ("ways", "models", "states"))
    counts = {
        way: runs.share([word for words in found.values() for word in words.values()]) for way, found in ways.items()
    }
    torch = [sum(counts[way][place] for way in counts if way != "TensorFlow") for place in (0, 1)]
    tensorflow = counts.get("TensorFlow", (0, 0))
    if not torch[1] or not tensorflow[1] or any(not counts[way][1] for way in ("TorchScript", "ONNX")):
        return Verdict(Ruling.UNDECIDED)
    both = all("ok" in ways[way].get(model, {}).values() for way in ("TorchScript", "ONNX") for model in models)
    names = {way: {name for words in found.values() for name in words} for way, found in ways.items()}
    torch_names = set().union(*(found for way, found in names.items() if way != "TensorFlow"))
    old = (
        len(torch_names & set(states)) / len(torch_names),
        len(names["TensorFlow"] & set(states)) / len(names["TensorFlow"]),
    )
    behind = (
        torch[0] / torch[1] <= tensorflow[0] / tensorflow[1] - LESS,
        old[0] >= old[1] + LESS,
    )
    values = {
        "torch": f"{torch[0]}/{torch[1]}",
        "tensorflow": f"{tensorflow[0]}/{tensorflow[1]}",
        "script": "{}/{}".format(*counts["TorchScript"]),
        "onnx": "{}/{}".format(*counts["ONNX"]),
        "old": f"{len(torch_names & set(states))}/{len(torch_names)}",
        "models": len(models),
    }
    number = f"{values['torch']} against {values['tensorflow']}"
    if not both:
        return Verdict(Ruling.DOES_NOT_HOLD, values, "no-way", number)
    if all(behind):
        return Verdict(Ruling.HOLDS, values, number=number)
    if not any(behind):
        return Verdict(Ruling.DOES_NOT_HOLD, values, number=number)
    return Verdict(Ruling.DEPENDS, values, "fewer-pass" if behind[0] else "less-maintained", number)


def plot(evidence: Evidence) -> Plot | None:
    """Show every variant that is made from PyTorch against every model."""
    ways = {way: found for way, found in evidence.facts["ways"].items() if way != "TensorFlow"}
    return runs.grid(
        {
            model: {name: word for found in ways.values() for name, word in found.get(model, {}).items()}
            for model in evidence.facts["models"]
        }
    )
