"""P3: PyTorch is a little slower by default; Dynamo and Inductor narrow the gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.nets.readings import INFER, TRAIN, cells_of, controls, of, ratios, span
from pipelines.claims.experiments.statistics import rule
from pipelines.claims.layouts import same_layout
from pipelines.claims.plots import Dumbbells, Point
from pipelines.claims.walls import WALLS, walls

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench

CLAIM = Claim(
    id="P3",
    sections=(3,),
    kind="testable",
    experiments=("steps",),
    sources=("pipelines.claims.layouts", "pipelines.claims.walls"),
)
DEFAULT, EQUAL = ("torch-eager", "tf-function"), ("torch-channels-last", "tf-function")
NARROWED, COMPILED = ("torch-compile", "torch-eager"), ("torch-compile", "tf-function")
COMPARED = (DEFAULT, EQUAL, NARROWED, COMPILED)


def measure(bench: Workbench) -> Evidence:
    """Compare eager PyTorch, as it comes and with TensorFlow's layout, and compiled PyTorch with tf.function."""
    found = bench.shared("steps")
    ways = (*TRAIN, *INFER)
    readings = [one for pair in COMPARED for one in ratios(found, *pair, ways, len(cells_of(found, pair, ways)))]
    facts = {"apart": found["apart"], WALLS: walls(found, readings)}
    return Evidence(tuple(readings), facts, controls(found), tuple(found["warnings"]))


def judge(evidence: Evidence) -> Verdict:
    """Hold it true if PyTorch is slower in every cell, with either layout, and compiling is faster in every cell.

    It does not hold if PyTorch as it comes is slower nowhere. If it is slower somewhere, but nowhere with TensorFlow's
    layout, then the layout is what it depends on; a network without pictures has only one.
    """
    default, equal, narrowed, compiled = (of(evidence.readings, *pair) for pair in COMPARED)
    slower, narrows = rule(default, "above"), rule(narrowed, "below")
    slower_equal = rule(same_layout(equal, default), "above")
    outcome, words = slower, ""
    if slower in (Ruling.HOLDS, Ruling.DEPENDS):
        all_three = {slower, slower_equal, narrows}
        if slower_equal is Ruling.DOES_NOT_HOLD:
            outcome, words = Ruling.DEPENDS, "layout"
        elif all_three != {Ruling.HOLDS}:
            outcome = Ruling.UNDECIDED if Ruling.UNDECIDED in all_three else Ruling.DEPENDS
    parts = {"default": default, "equal": equal, "narrowed": narrowed, "compiled": compiled}
    values = {name: span(part) for name, part in parts.items()}
    return Verdict(outcome, values, words, values["default"])


def plot(evidence: Evidence) -> Dumbbells:
    """Show PyTorch's ratio to tf.function; hollow: with TensorFlow's memory layout."""
    shown = [one for pair in (DEFAULT, EQUAL, COMPILED) for one in of(evidence.readings, *pair)]
    points = [Point(one.name, one.value, one.low, one.high, one.name.startswith(EQUAL[0])) for one in shown]
    return Dumbbells(tuple(points), "CPU time, PyTorch / tf.function")
