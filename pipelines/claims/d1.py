"""D1: TensorFlow's static graph is optimised, and suits production."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines.claims import Claim, Evidence, Verdict
from pipelines.claims.experiments.nets.readings import INFER, cells_of, controls, of, ratios, span
from pipelines.claims.experiments.statistics import rule
from pipelines.claims.plots import Dumbbells, Point
from pipelines.claims.walls import WALLS, walls

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench

CLAIM = Claim(id="D1", sections=(1,), kind="testable", experiments=("steps",), sources=("pipelines.claims.walls",))
GRAPHS = {"graph": "tf-function", "saved": "saved"}
"""Judged against the eager call: the network as a tf.function, and the signature of its SavedModel."""
PREDICT = "predict"


def measure(bench: Workbench) -> Evidence:
    """Compare each way to predict with TensorFlow's own eager call, for one row and for 64."""
    found = bench.shared("steps")
    ways = {kind: _ways(found[kind]) for kind in ("cpu", "wall")}
    judged = sum(len(cells_of(ways, (arm, "tf-eager"), INFER)) for arm in GRAPHS.values())
    readings = [one for arm in (*GRAPHS.values(), PREDICT) for one in ratios(ways, arm, "tf-eager", INFER, judged)]
    first = found["first"]["tf-function"]
    facts = {"apart": found["apart"], "first call seconds": first, WALLS: walls(ways, readings)}
    return Evidence(tuple(readings), facts, controls(found), tuple(found["warnings"]))


def _ways(arms: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Add the ways of tf-function's process as arms of their own, under the name of the eager cell."""
    cells = arms["tf-function"].items()
    ways = ("saved", PREDICT)
    return dict(arms) | {
        way: {cell.replace(way, "infer"): values for cell, values in cells if cell.startswith(way)} for way in ways
    }


def judge(evidence: Evidence) -> Verdict:
    """Hold it true if graph and SavedModel take less CPU time than the eager call for every network and batch."""
    parts = {name: of(evidence.readings, arm, "tf-eager") for name, arm in GRAPHS.items()}
    outcome = rule([one for part in parts.values() for one in part], "below")
    values = {name: span(part) for name, part in parts.items()}
    values["predict"] = span(of(evidence.readings, PREDICT, "tf-eager"))
    return Verdict(outcome, values, number=values["graph"])


def plot(evidence: Evidence) -> Dumbbells:
    """Show each way's ratio to the eager call; Keras's predict is hollow: it is not judged."""
    points = [Point(one.name, one.value, one.low, one.high, one.name.startswith(PREDICT)) for one in evidence.readings]
    return Dumbbells(tuple(points), "CPU time / that of TensorFlow's eager call")
