"""P4: static graphs save memory; dynamic ones may cost a little more; AOTAutograd helps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipelines.claims import Claim, ClaimReading, Evidence, Ruling, Verdict
from pipelines.claims.experiments.memory import AGAIN
from pipelines.claims.experiments.statistics import median, ratio
from pipelines.claims.plots import Bars

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench

CLAIM = Claim(
    id="P4",
    sections=(3,),
    kind="testable",
    experiments=("memory",),
    beside=True,
)
LESS = 0.9
"""A ratio of memory below this is a saving."""
RUNS = 3
"""A saving counts if it is there in each of so many runs."""
PARTS = {
    "saves": ("tf-function", "tf-eager"),
    "costs": ("tf-function", "torch-eager"),
    "helps": ("torch-aot", "torch-eager"),
}
"""The sentence's three parts: a static graph saves memory, dynamic PyTorch takes more than it, AOTAutograd helps."""
BESIDE = (("torch-compile", "torch-eager"), ("tf-xla", "tf-function"))
MB = 1e6


def measure(bench: Workbench) -> Evidence:
    """Measure each arm's memory for a row of the batch, and compare arms run by run."""
    found = bench.shared("memory")
    taken: Mapping[str, list[float]] = found["bytes"]
    readings = [median(arm, [value / MB for value in values], "MB a row") for arm, values in taken.items()]
    for pair in (*PARTS.values(), *BESIDE):
        if set(pair) <= set(taken):
            readings.append(_compared(taken, *pair))
    checked = (_compared(taken, AGAIN, "torch-eager"),) if AGAIN in taken else ()
    facts = {name: found[name] for name in ("apart", "batches", "net")}
    return Evidence(tuple(readings), facts, checked, tuple(found["warnings"]))


def judge(evidence: Evidence) -> Verdict:
    """Hold it true if all three parts show a saving in each run; a part that shows it in some runs decides nothing."""
    parts = {
        name: next((one for one in evidence.readings if one.name == "/".join(pair)), None)
        for name, pair in PARTS.items()
    }
    saves = {name: _saves(reading) for name, reading in parts.items()}
    found = set(saves.values())
    if {True, False} <= found:
        outcome = Ruling.DEPENDS
    elif None in found:
        outcome = Ruling.UNDECIDED
    else:
        outcome = Ruling.HOLDS if found == {True} else Ruling.DOES_NOT_HOLD
    values = {name: "-" if reading is None else f"{reading.value:.2f}" for name, reading in parts.items()}
    compiled = next((f"{one.value:.2f}" for one in evidence.readings if one.name == "/".join(BESIDE[0])), "-")
    count = sum(one is True for one in saves.values())
    return Verdict(outcome, {**values, "compiled": compiled, "true": count}, number=f"{count} of {len(PARTS)}")


def plot(evidence: Evidence) -> Bars:
    """Show the memory of each arm."""
    taken = {one.name: one.value for one in evidence.readings if one.unit == "MB a row"}
    return Bars(taken, "MB for each row of a training batch")


def _compared(taken: Mapping[str, list[float]], above: str, below: str) -> ClaimReading:
    return ratio(f"{above}/{below}", list(zip(taken[above], taken[below], strict=True)))


def _saves(reading: ClaimReading | None) -> bool | None:
    """Return whether memory is saved in every run, or in none; None if the runs differ, or are too few."""
    if reading is None or len(reading.raw) < RUNS:
        return None
    found = {above / below < LESS for above, below in reading.raw}
    return found.pop() if len(found) == 1 else None
