"""H3: both frameworks converge on dynamic plus compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.nets.readings import TRAIN, cells_of, controls, of, pairs_of, ratios, span
from pipelines.claims.experiments.statistics import nearer, rule
from pipelines.claims.plots import Dumbbells, Point
from pipelines.claims.walls import WALLS, walls

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench

CLAIM = Claim(id="H3", sections=(8,), kind="testable", experiments=("steps",), sources=("pipelines.claims.walls",))
EAGER, COMPILED = ("tf-eager", "torch-eager"), ("tf-function", "torch-compile")
NEARER = "gap compiled/gap eager"


def measure(bench: Workbench) -> Evidence:
    """Compare the frameworks with each other: both eager, and both compiled by one call on the same network."""
    found = bench.shared("steps")
    cells = cells_of(found, (*EAGER, *COMPILED), TRAIN)
    gaps = []
    for cell in cells:
        compiled, eager = (pairs_of(found, (above, cell), (below, cell)) for above, below in (COMPILED, EAGER))
        gaps.append(nearer(f"{NEARER} {cell}", compiled, eager, len(cells)))
    readings = (*gaps, *ratios(found, *EAGER, TRAIN, len(cells)), *ratios(found, *COMPILED, TRAIN, len(cells)))
    facts = {
        "eager": found["eager"],
        "graph breaks": found["breaks"],
        "apart": found["apart"],
        WALLS: walls(found, readings),
    }
    return Evidence(readings, facts, controls(found), tuple(found["warnings"]))


def judge(evidence: Evidence) -> Verdict:
    """Hold it true if both compute eagerly by default, both compile the network as it is, and that brings them nearer.

    Nearer: the slower over the faster, both compiled, is less than both eager, in every network.
    """
    gaps = [one for one in evidence.readings if one.name.startswith(NEARER)]
    both = all(evidence.facts["eager"].values()) and evidence.facts["graph breaks"] == 0
    outcome = rule(gaps, "below") if both else Ruling.DOES_NOT_HOLD
    values = {
        "eager": span(of(evidence.readings, *EAGER)),
        "compiled": span(of(evidence.readings, *COMPILED)),
        "nearer": span(gaps),
        "breaks": evidence.facts["graph breaks"],
    }
    return Verdict(outcome, values, "" if both else "not-both", values["nearer"])


def plot(evidence: Evidence) -> Dumbbells:
    """Show TensorFlow over PyTorch, both compiled; hollow: both eager."""
    shown = [one for pair in (COMPILED, EAGER) for one in of(evidence.readings, *pair)]
    points = [Point(one.name, one.value, one.low, one.high, one.name.startswith(EAGER[0])) for one in shown]
    return Dumbbells(tuple(points), "CPU time of a training step, TensorFlow / PyTorch")
