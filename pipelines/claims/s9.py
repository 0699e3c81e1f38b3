"""S9: TensorFlow must switch to a static graph for production."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.bench import ChildCall, Effort, pairs
from pipelines.claims.experiments.deployment.eager import ARMS, MODELS
from pipelines.claims.experiments.statistics import ratio, rule
from pipelines.claims.plots import Dumbbells, Point

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(
    id="S9",
    sections=(5,),
    kind="testable",
    sources=("pipelines.claims.experiments.deployment.eager",),
    requires=("tensorflow", "keras"),
)

CALLS = {Effort.TINY: (1, 5), Effort.QUICK: (2, 10), Effort.FULL: (4, 20)}
"""Blocks of each arm in a process, and calls in a block."""


def measure(bench: Workbench) -> Evidence:
    """Serve two Keras models eagerly, and time a call of one row against the graph; a round is one fresh process."""
    blocks, calls = CALLS[bench.effort]
    request = {"seed": bench.seed, "blocks": blocks, "calls": calls}
    job = ChildCall("pipelines.claims.experiments.deployment.eager:measure", request, imported=("tensorflow", "keras"))
    rounds = bench.interleaved("eager", {"all": job})
    by_model = {model: {arm: [one[model][arm] for one in rounds["all"]] for arm in ARMS} for model in MODELS}
    return Evidence(
        tuple(
            ratio(f"{m}: eager over graph", pairs(found, "eager", "graph", float), len(MODELS))
            for m, found in by_model.items()
        ),
        {"served": all(one[model]["served"] for one in rounds["all"] for model in MODELS)},
        tuple(
            ratio(f"{m}: eager over eager", pairs(found, "eager again", "eager", float))
            for m, found in by_model.items()
        ),
    )


def judge(evidence: Evidence) -> Verdict:
    """Hold it if an eager model cannot be served; else say what serving it costs, by the rule for ratios."""
    if not evidence.facts.get("served"):
        return Verdict(Ruling.HOLDS) if evidence.facts else Verdict(Ruling.UNDECIDED, {"low": "-", "high": "-"})
    times = [one.value for one in evidence.readings]
    values = {"low": f"{min(times):.1f}", "high": f"{max(times):.1f}"}
    number = f"{values['low']} to {values['high']}"
    dearer = rule(evidence.readings, "above")
    if dearer is Ruling.HOLDS:
        return Verdict(Ruling.DEPENDS, values, "possible-and-dear", number)
    return Verdict(dearer, values, number=number)


def plot(evidence: Evidence) -> Plot | None:
    """Show the CPU time of an eager call over that of the graph, and the controls."""
    points = [Point(one.name, one.value, one.low, one.high) for one in evidence.readings]
    points += [Point(one.name, one.value, one.low, one.high, hollow=True) for one in evidence.controls]
    return Dumbbells(tuple(points), "CPU time of a call, times")
