"""P1: static graphs train faster, above all large models."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pipelines.claims import Claim, ClaimReading, Evidence, Ruling, Verdict
from pipelines.claims.experiments.nets.readings import TRAIN, cells_of, controls, of, pairs_of, ratios, span
from pipelines.claims.experiments.statistics import median, rule, slope, slope_signs
from pipelines.claims.layouts import same_layout
from pipelines.claims.plots import Lines
from pipelines.claims.walls import WALLS, walls
from pipelines.loadtest.statistics.intervals import MIN_RUNS

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench

CLAIM = Claim(
    id="P1",
    sections=(3,),
    kind="testable",
    experiments=("steps",),
    sources=("pipelines.claims.layouts", "pipelines.claims.walls"),
)
OWN, PLAIN, EQUAL = ("tf-function", "tf-eager"), ("tf-function", "torch-eager"), ("tf-function", "torch-channels-last")
COMPARED = (OWN, PLAIN, EQUAL, ("torch-compile", "torch-eager"))
"""Static over dynamic: TensorFlow's own, PyTorch as it comes, PyTorch with TensorFlow's layout; and PyTorch's own."""
SURE = 0.90
"""Share of bootstrap draws that must agree on the sign of a slope."""


def measure(bench: Workbench) -> Evidence:
    """Compare training steps of all networks, and find how the ratio goes with the work of a step in the family."""
    found = bench.shared("steps")
    readings: list[ClaimReading] = []
    rising: dict[str, float] = {}
    work = found["work"]
    for above, below in COMPARED:
        cells = cells_of(found, (above, below), TRAIN)
        readings += ratios(found, above, below, TRAIN, len(cells))
        nets = [net for net in work if f"train {net}" in cells]
        columns = [pairs_of(found, (above, f"train {net}"), (below, f"train {net}")) for net in nets]
        rounds = [[math.log(a / b) for a, b in row] for row in zip(*columns, strict=True)]
        decades = [math.log10(work[net]) for net in nets]
        if len(nets) > 1:
            readings.append(median(_slope(above, below), [math.exp(slope(decades, row)) for row in rounds], "x"))
            if len(rounds) >= MIN_RUNS:
                rising[f"{above}/{below}"] = slope_signs(decades, rounds, bench.seed)
    facts = {
        "work": work,
        "share of draws in which the ratio rises": rising,
        "apart": found["apart"],
        WALLS: walls(found, readings),
    }
    return Evidence(tuple(readings), facts, controls(found), tuple(found["warnings"]))


def judge(evidence: Evidence) -> Verdict:
    """Hold it true if tf.function is faster than both kinds of eager in every network, and more so in larger ones.

    Eager PyTorch has TensorFlow's layout here (where a network has one). If the ratio surely rises with the work of a
    step in both comparisons, the gain is one of small models.
    """
    own, plain, equal = (of(evidence.readings, *pair) for pair in (OWN, PLAIN, EQUAL))
    equal = same_layout(equal, plain)
    outcome, words = rule([*own, *equal], "below"), ""
    rising = evidence.facts["share of draws in which the ratio rises"]
    signs = [rising.get("/".join(pair)) for pair in (OWN, EQUAL)]
    if outcome in (Ruling.HOLDS, Ruling.DEPENDS):
        if all(sign is not None and sign >= SURE for sign in signs):
            outcome, words = Ruling.DEPENDS, "small"
        elif outcome is Ruling.HOLDS and not all(sign is not None and 1 - sign >= SURE for sign in signs):
            outcome = Ruling.DEPENDS
    values = {
        **{"own": span(own), "plain": span(plain), "equal": span(equal)},
        **{"own_slope": _grows(evidence, OWN), "equal_slope": _grows(evidence, EQUAL)},
    }
    return Verdict(outcome, values, words, values["equal"])


def plot(evidence: Evidence) -> Lines:
    """Show how each ratio goes with the work of a training step."""
    work: dict[str, Any] = evidence.facts["work"]
    series = {}
    for above, below in COMPARED:
        values = {one.name.split()[-1]: one.value for one in of(evidence.readings, above, below)}
        series[f"{above} / {below}"] = tuple((work[net], values[net]) for net in work if net in values)
    return Lines(series, "floating-point operations of a training step", "CPU time, static / dynamic", {}, log_x=True)


def _slope(above: str, below: str) -> str:
    return f"{above}/{below}, for ten times the work"


def _grows(evidence: Evidence, pair: tuple[str, str]) -> str:
    """Return by how much a ratio is multiplied when the work of a step is ten times as much."""
    return next((f"{one.value:.2f}" for one in evidence.readings if one.name == _slope(*pair)), "-")
