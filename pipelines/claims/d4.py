"""D4: PyTorch is dynamic by default: code runs as written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.behaviour import facts
from pipelines.claims.experiments.behaviour.parts import value_of, warnings_of
from pipelines.claims.plots import Grid

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(
    id="D4",
    sections=(1,),
    kind="testable",
    experiments=(facts.NAME,),
    sources=facts.SOURCES,
    requires=facts.REQUIRES,
    beside=True,
)
PARTS = {"PyTorch eager": "torch: changing", "TensorFlow eager": "tensorflow: changing"}
CALLS = 3
"""Each model is called so often, with another structure each time; Python must have run its code as often."""


def measure(bench: Workbench) -> Evidence:
    """Run models whose structure changes from call to call; compare answers and gradients with numerical ones."""
    found = {side: value_of(bench, facts.NAME, part) for side, part in PARTS.items()}
    return Evidence(facts=found, warnings=warnings_of(bench, [(facts.NAME, part) for part in PARTS.values()]))


def judge(evidence: Evidence) -> Verdict:
    """Judge: it holds if every model is right in PyTorch; another sentence if all are in TensorFlow eager, too."""
    right = {side: _right(models) for side, models in evidence.facts.items()}
    of = {side: len(models) for side, models in evidence.facts.items()}
    torch, tensorflow = PARTS
    values = {"torch": f"{right[torch]}", "tensorflow": f"{right[tensorflow]}", "of": f"{of[torch]}"}
    number = f"{right[torch]} of {of[torch]}"
    if right[torch] < of[torch]:
        return Verdict(Ruling.DOES_NOT_HOLD, values, number=number)
    both = right[tensorflow] == of[tensorflow]
    return Verdict(Ruling.HOLDS, values, words="holds-for-both" if both else "", number=number)


def _right(models: Mapping[str, Any]) -> int:
    return sum(_passes(model) for model in models.values())


def _passes(model: Mapping[str, Any]) -> bool:
    return bool(model["right"]) and model["turns"] == CALLS


def plot(evidence: Evidence) -> Plot | None:
    """Draw which models each framework ran as they are written."""
    sides = tuple(evidence.facts)
    models = tuple(evidence.facts[sides[0]])
    cells = tuple(
        tuple("ok" if _passes(evidence.facts[side][model]) else "silently wrong" for side in sides) for model in models
    )
    return Grid(models, sides, cells)
