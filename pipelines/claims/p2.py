"""P2: XLA accelerates (on TPU and GPU). A processor can neither prove nor refute that; it shows what XLA does here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.nets.readings import INFER, TRAIN, cells_of, controls, of, ratios, span
from pipelines.claims.experiments.statistics import rule
from pipelines.claims.plots import Dumbbells, Point
from pipelines.claims.walls import WALLS, walls

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench

CLAIM = Claim(id="P2", sections=(3,), kind="partly", experiments=("steps",), sources=("pipelines.claims.walls",))
WITH, WITHOUT = "tf-xla", "tf-function"


def measure(bench: Workbench) -> Evidence:
    """Compare the same graph with and without XLA, in training and in predicting."""
    found = bench.shared("steps")
    ways = (*TRAIN, *INFER)
    readings = ratios(found, WITH, WITHOUT, ways, len(cells_of(found, (WITH, WITHOUT), ways)))
    first = {arm: found["first"][arm] for arm in (WITH, WITHOUT)}
    facts = {"first call, CPU seconds": first, "apart": found["apart"], WALLS: walls(found, readings)}
    return Evidence(readings, facts, controls(found), tuple(found["warnings"]))


def judge(evidence: Evidence) -> Verdict:
    """Judge XLA on this processor; if it is faster nowhere, that says nothing of a TPU or a GPU."""
    readings = of(evidence.readings, WITH, WITHOUT)
    outcome = rule(readings, "below")
    if outcome is Ruling.DOES_NOT_HOLD:
        outcome = Ruling.NOT_HERE
    values = {
        "train": span([one for one in readings if " train " in one.name]),
        "infer": span([one for one in readings if " infer" in one.name]),
    }
    return Verdict(outcome, values, number=span(readings))


def plot(evidence: Evidence) -> Dumbbells:
    """Show the ratio of each network with XLA to the one without."""
    points = [Point(one.name, one.value, one.low, one.high) for one in evidence.readings]
    return Dumbbells(tuple(points), "CPU time, XLA / the same graph without XLA")
