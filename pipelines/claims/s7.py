"""S7: Static graphs suit large-scale distributed training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.statistics import ratio, side
from pipelines.claims.plots import Dumbbells, Point

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(
    id="S7",
    sections=(2,),
    kind="partly",
    experiments=("parallel",),
    sources=("pipelines.claims.experiments.launching", "pipelines.claims.experiments.scripts"),
    requires=("torch", "tensorflow", "keras"),
)
GRAPHS = {"mirrored": "keras", "multiworker": "keras loop"}
WORDS = {
    frozenset({"below"}): "not-here-graph",
    frozenset({"above"}): "not-here-eager",
    frozenset({"equal"}): "not-here-equal",
}


def measure(bench: Workbench) -> Evidence:
    """Take from S5's experiment how much longer two processes are at work than one: a graph's share over eager's."""
    arms = bench.shared("parallel")["arms"]

    def cost(arm: str, single: str, kind: str) -> list[float]:
        return [one[kind] / other[kind] for one, other in zip(arms[arm], arms[single], strict=True)]

    readings = []
    for kind in ("cpu", "wall"):
        eager = cost("ddp", "torch", f"{kind}_s")
        for arm, single in GRAPHS.items():
            if single in arms:
                graph = cost(arm, single, f"{kind}_s")
                readings.append(ratio(f"{arm} over ddp, {kind}", list(zip(graph, eager, strict=True)), len(GRAPHS)))
    controls = [
        ratio(f"{again} cpu", [(a["cpu_s"], b["cpu_s"]) for a, b in zip(arms[again], arms[single], strict=True)])
        for again, single in (("torch again", "torch"), ("keras again", "keras"))
        if again in arms
    ]
    return Evidence(tuple(readings), {"workers": 2}, tuple(controls))


def judge(evidence: Evidence) -> Verdict:
    """Say what two workers show: two are no large scale, so the claim stays untested whatever they show."""
    looked_at = [one for one in evidence.readings if one.name.endswith("cpu")]
    words = WORDS.get(frozenset(side(one) for one in looked_at), "not-here")
    values = [one.value for one in looked_at]
    low, high = (f"{min(values):.2f}", f"{max(values):.2f}") if values else ("?", "?")
    number = f"{low} to {high} at two" if values else ""
    return Verdict(Ruling.NOT_HERE, {"low": low, "high": high}, words, number)


def plot(evidence: Evidence) -> Plot | None:
    """Draw what the second worker costs a graph, over what it costs eager PyTorch."""
    points = [Point(one.name, one.value, one.low, one.high, one.name.endswith("wall")) for one in evidence.readings]
    return Dumbbells(tuple(points), "cost of two over one: graph / eager") if points else None
