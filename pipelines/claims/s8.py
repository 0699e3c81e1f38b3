"""S8: TensorFlow's learning curve is steep, PyTorch is easier to enter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.behaviour import twins
from pipelines.claims.plots import Dumbbells, Point

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(
    id="S8",
    sections=(2, 5, 8),
    kind="partly",
    sources=("pipelines.claims.experiments.behaviour", *twins.SOURCES),
)
PAIRS = {**twins.DEFINITIONS, **twins.LOOP, **twins.SEQUENTIAL, **twins.SHORTEST}
COUNTED = ("tokens", "names")
"""How much there is to write, and how many names of the framework there are to know."""


def measure(bench: Workbench) -> Evidence:  # noqa: ARG001 - it reads code
    """Count what a beginner writes and has to know, in both frameworks."""
    code = twins.measured(PAIRS)
    return Evidence(readings=twins.readings(code), facts={"code": code})


def judge(evidence: Evidence) -> Verdict:
    """Judge: it holds if PyTorch needs a fifth less in every pair, in tokens and in names; does not hold if in none."""
    signs = {
        pair: twins.shorter(tuple(evidence.reading(f"{pair}: {one}").value for one in COUNTED))
        for pair in evidence.facts["code"]
    }
    words = list(signs.values())
    names = [evidence.reading(f"{pair}: names").value for pair in signs]
    (short,) = twins.SHORTEST
    sides = evidence.facts["code"][short]
    values = {
        **{word: f"{words.count(word)}" for word in ("shorter", "longer", "alike")},
        "pairs": f"{len(signs)}",
        "low": f"{min(names):.2f}",
        "high": f"{max(names):.2f}",
        "loop": f"{sides['pytorch']['tokens']}",
        "fit": f"{sides['tensorflow']['tokens']}",
    }
    number = f"easier in {words.count('shorter')} of {len(words)}, harder in {words.count('longer')}"
    outcome = Ruling.DEPENDS
    if words.count("shorter") in (0, len(words)):
        outcome = Ruling.HOLDS if "shorter" in words else Ruling.DOES_NOT_HOLD
    return Verdict(outcome, values, number=number)


def plot(evidence: Evidence) -> Plot | None:
    """Draw PyTorch's code over TensorFlow's."""
    points = tuple(Point(one.name, one.value) for one in evidence.readings if not one.name.endswith(": nodes"))
    return Dumbbells(points, "PyTorch / TensorFlow")
