"""D3: torch.compile compiles in one call, and raises performance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.nets.readings import INFER, TRAIN, cells_of, controls, of, ratios, span
from pipelines.claims.experiments.statistics import break_even, rule
from pipelines.claims.layouts import same_layout
from pipelines.claims.plots import Lines
from pipelines.claims.walls import WALLS, walls

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench

CLAIM = Claim(
    id="D3",
    sections=(1, 6),
    kind="testable",
    experiments=("steps",),
    sources=("pipelines.claims.layouts", "pipelines.claims.walls"),
)
COUNTS = np.geomspace(100, 500_000, 81)
"""The numbers of training steps that are plotted."""
MOST = 2.5
"""Higher ratios, of few steps, are not plotted: the compiler is all that there is to see."""
COMPILED, EAGER, CONTROL = "torch-compile", "torch-eager", "torch-channels-last"


def measure(bench: Workbench) -> Evidence:
    """Compare the compiled network with the eager one, with and without its memory layout, and find when it pays."""
    found = bench.shared("steps")
    ways = (*TRAIN, *INFER)
    judged = len(cells_of(found, (COMPILED, EAGER), ways))
    readings = [
        *ratios(found, COMPILED, EAGER, ways, judged),
        *ratios(found, COMPILED, CONTROL, ways, len(cells_of(found, (COMPILED, CONTROL), ways)) or 1),
    ]
    never = []
    for net, costs in found["cold"].items():
        cell = f"train {net}"
        eager, compiled = (found["cpu"][arm][cell] for arm in (EAGER, COMPILED))
        first = float(np.median(found["first"][EAGER][cell]))
        gains = [slow - fast for slow, fast in zip(eager, compiled, strict=True)]
        paid = break_even(f"break-even {net}", [cost - first for cost in costs], gains, "steps") if costs else None
        if paid is not None:
            readings.append(paid)
        else:
            never.append(net)
    facts = {
        "graph breaks": found["breaks"],
        "compiling, CPU seconds": found["cold"],
        "no break-even": never,
        "a step, CPU seconds": {net: [_step(found, arm, net) for arm in (EAGER, COMPILED)] for net in found["cold"]},
        "apart": found["apart"],
        WALLS: walls(found, readings),
    }
    return Evidence(tuple(readings), facts, controls(found), tuple(found["warnings"]))


def judge(evidence: Evidence) -> Verdict:
    """Hold it true if every ratio to eager is below the limit, and each network was compiled whole.

    If some are, but none against eager PyTorch with channels last, the gain is that of the layout: a network without
    pictures has no layout, so that its gain is not.
    """
    plain, equal = of(evidence.readings, COMPILED, EAGER), of(evidence.readings, COMPILED, CONTROL)
    same = same_layout(equal, plain)
    outcome = rule(plain, "below")
    breaks = evidence.facts["graph breaks"]
    words = ""
    if breaks and outcome is Ruling.HOLDS:
        outcome = Ruling.DEPENDS
    if outcome in (Ruling.HOLDS, Ruling.DEPENDS) and rule(same, "below") is Ruling.DOES_NOT_HOLD:
        outcome, words = Ruling.DEPENDS, "layout"
    paid = [one.value for one in evidence.readings if one.name.startswith("break-even")]
    values = {
        "train": span([one for one in plain if " train " in one.name]),
        "infer": span([one for one in plain if " infer" in one.name]),
        "equal": span(equal),
        "breaks": breaks,
        "pays": f"{min(paid):,.0f}–{max(paid):,.0f}" if paid else "-",
        "never": len(evidence.facts["no break-even"]),
    }
    return Verdict(outcome, values, words, values["train"])


def plot(evidence: Evidence) -> Lines | None:
    """Show the CPU time of so many steps, compiling included, over eager PyTorch's: at 1 it has paid, then it saves."""
    costs, steps = evidence.facts["compiling, CPU seconds"], evidence.facts["a step, CPU seconds"]
    series = {}
    for net, (eager, compiled) in steps.items():
        if costs[net]:
            cost = float(np.median(costs[net]))
            curve = ((float(count), (cost + count * compiled) / (count * eager)) for count in COUNTS)
            series[net] = tuple((count, share) for count, share in curve if share <= MOST)
    pays = {f"{one.name.split()[-1]} pays": one.value for one in evidence.readings if one.name.startswith("break-even")}
    return Lines(series, "training steps", "CPU time so far, compiled / eager", pays, log_x=True) if series else None


def _step(found: Mapping[str, Any], arm: str, net: str) -> float:
    return float(np.median(found["cpu"][arm][f"train {net}"]))
